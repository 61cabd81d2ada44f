#!/bin/bash
# One run on many ranks, started by mpiexec. The job is requeued until the run is complete.
#
#     sbatch scripts/slurm/run_mpiexec.sh INPUT.yaml OUT.h5 [--set KEY=VALUE ...]
#
# See docs/cluster.md. Options on the command line of sbatch override these.
#SBATCH --job-name=kmc_oxy
#SBATCH --ntasks=64
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# B: Slurm signals this script, which forwards the signal to mpiexec. Without B: it signals the
# daemons of mpiexec, most of which end, and not the ranks.
#SBATCH --signal=B:USR1@300

if [ $# -lt 2 ]; then
    echo "usage: sbatch $0 INPUT.yaml OUT.h5 [further options of kmc-oxy run]" >&2
    exit 2
fi
input=$1 output=$2
shift 2

# module load python mpich           # the site's own Python and MPI
# source "$HOME/kmc_oxy/.venv/bin/activate"

# One core per rank: without this the linear algebra starts one thread per core in each rank.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

"${MPIEXEC:-mpiexec}" -n "$SLURM_NTASKS" \
    python -m mpi4py -m kmc_oxy run "$input" -o "$output" "$@" &
job=$!
signalled=
trap 'signalled=yes; kill -USR1 $job' USR1
wait $job
code=$?
if [ "$signalled" ]; then
    # The signal has ended the first wait, but not mpiexec.
    wait $job
    code=$?
fi

if [ $code -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
