#pragma once
#include <string>
#include <vector>

namespace namm::cli {

/// True in a process that mpirun (or another starter of MPI programs) has begun. Does not start MPI.
bool launched_by_mpirun();

/// `namm evolve` on ranks: rank 0 runs it and is the only one that prints and writes, the others measure for it. Returns the
/// exit code. Throws std::runtime_error in a program without MPI.
int evolve_on_ranks(const std::vector<std::string>& arguments);

}  // namespace namm::cli
