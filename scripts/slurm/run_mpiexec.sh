#!/bin/bash
# One run over many ranks, started by mpiexec, in as many jobs one after the other as it takes:
#
#     sbatch scripts/slurm/run_mpiexec.sh INPUT.yaml OUT.h5 [--set KEY=VALUE ...]
#
# See docs/cluster.md. Resources on the command line of sbatch have precedence over these.
#SBATCH --job-name=kmc_oxy
#SBATCH --ntasks=64
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# B: to this script, which passes it on to mpiexec. Slurm knows the daemons of mpiexec and not
# the ranks, and most daemons die of the signal.
#SBATCH --signal=B:USR1@300

if [ $# -lt 2 ]; then
    echo "usage: sbatch $0 INPUT.yaml OUT.h5 [further options of kmc-oxy run]" >&2
    exit 2
fi
input=$1 output=$2
shift 2

# module load python mpich           # the site's own Python and MPI
# source "$HOME/kmc_oxy/.venv/bin/activate"

# A rank is one core; without this the linear algebra would start a thread a core in each.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

"${MPIEXEC:-mpiexec}" -n "$SLURM_NTASKS" \
    python -m mpi4py -m kmc_oxy run "$input" -o "$output" "$@" &
job=$!
told=
trap 'told=yes; kill -USR1 $job' USR1
wait $job
code=$?
if [ "$told" ]; then
    # The signal has ended the first wait, not the job.
    wait $job
    code=$?
fi

if [ $code -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
