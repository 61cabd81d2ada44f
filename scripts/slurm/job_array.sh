#!/bin/bash
# Many runs, one per element of an array job, each with its own ranks. The list has one line per
# run: its output, its input, and further options of `kmc-oxy run`:
#
#     results/a.h5 inputs/quickstart.yaml --set device.temperature=100
#     results/b.h5 inputs/quickstart.yaml --set device.temperature=150
#
#     sbatch --array=1-$(wc -l < runs.txt) scripts/slurm/job_array.sh runs.txt
#
# See docs/cluster.md. A scan or an ensemble in one input needs no array job: see run.sh.
#SBATCH --job-name=kmc_oxy
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@300

if [ $# -ne 1 ] || [ -z "$SLURM_ARRAY_TASK_ID" ]; then
    echo "usage: sbatch --array=1-N $0 LIST" >&2
    exit 2
fi
read -r -a words < <(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")
if [ ${#words[@]} -lt 2 ]; then
    echo "line $SLURM_ARRAY_TASK_ID of $1 is not: OUT.h5 INPUT.yaml [options]" >&2
    exit 2
fi

# module load python openmpi         # the site's own Python and MPI
# source "$HOME/kmc_oxy/.venv/bin/activate"

# One core per rank: without this the linear algebra starts one thread per core in each rank.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

srun python -m mpi4py -m kmc_oxy run "${words[1]}" -o "${words[0]}" "${words[@]:2}"
code=$?

if [ $code -eq 75 ]; then
    # The job ID of this element, not of the whole array.
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
