#include "cli/evolve_ranks.hpp"

#include <cstdlib>
#include <stdexcept>

#ifdef NAMM_WITH_MPI
#include <omp.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "cli/evolve_hosts.hpp"
#include "cli/evolve_session.hpp"
#include "cli/evolve_settings.hpp"
#include "cli/failure.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_options.hpp"
#include "evolve/mpi/mpi_channel.hpp"
#include "evolve/ranks/rank_server.hpp"
#include "evolve/ranks/rank_units.hpp"
#endif

namespace namm::cli {

bool launched_by_mpirun() {
  // Open MPI; MPICH and Intel MPI; srun and other starters that speak PMIx
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

#ifdef NAMM_WITH_MPI
namespace {

constexpr std::chrono::seconds kDismissTimeout{5};

/// Ranks of one machine share its cores; what mpirun bound this one to, or OMP_NUM_THREADS, says more if it is there.
void share_cores(const evolve::MpiChannel& channel) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
  const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  omp_set_num_threads(std::max(1, std::min(omp_get_num_procs(), static_cast<int>(cores) / channel.ranks_here())));
}

std::string machine_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

int lead(const std::vector<std::string>& arguments, evolve::MpiChannel& channel) {
  const auto plan = plan_evolution(arguments);
  if (!plan) return 0;
  set_log_level(plan->quiet, plan->verbose);
  const ModelOptions& options = plan->stages.front().options.model;
  if (options.workers * options.threads > omp_get_num_procs())
    spdlog::warn(
        "mpirun: a rank may use {} core(s) and has {} worker(s) of {} thread(s); give mpirun --bind-to none, or fewer workers",
        omp_get_num_procs(), options.workers, options.threads);
  return evolve_here(*plan, &channel);
}

/// A rank that measures. Silent: what is wrong is said by rank 0.
void follow(const std::vector<std::string>& arguments, evolve::MpiChannel& channel) {
  spdlog::set_level(spdlog::level::off);
  if (std::find_if(arguments.begin(), arguments.end(),
                   [](const auto& word) { return word == "--help" || word == "--help-all" || word == "-h"; }) != arguments.end())
    return evolve::report_failure(channel, "prints help only", true);
  try {
    const auto plan = plan_evolution(arguments);
    EvolveHosts hosts(*plan);
    for (const auto& [options, continues] : plan->stages) {
      hosts.prepare(options);
      evolve::RunSettings settings = measuring_settings_from(options);
      settings.sources = sources_of(options);
      const auto fitness = evolve::make_fitness(settings.fitness);
      fitness->remember_at_most(settings.prompt_memory_bytes);
      if (evolve::serve_units(channel, hosts.pool(), *fitness, settings.protocol, settings.tasks,
                              {hosts.identity(settings), machine_name()}, &interrupted()))
        return;
    }
    evolve::report_failure(channel, "has no stage left", false);
  } catch (const std::invalid_argument& error) {
    evolve::report_failure(channel, error.what(), true);
  } catch (const std::exception& error) {
    evolve::report_failure(channel, error.what(), false);
  }
}

}  // namespace

int evolve_on_ranks(const std::vector<std::string>& arguments) {
  evolve::MpiChannel channel;
  interrupted();  // behind MPI's own handlers
  share_cores(channel);
  int code = 0;
  if (channel.rank() == 0) {
    try {
      code = lead(arguments, channel);
    } catch (...) {
      code = print_failure();  // now: if a rank is gone, nothing is left to print with
    }
    if (!evolve::RankUnits::dismiss(channel, kDismissTimeout)) channel.abort(std::max(code, 1));
  } else {
    follow(arguments, channel);
  }
  channel.finish();
  return code;
}
#else
int evolve_on_ranks(const std::vector<std::string>&) {
  throw std::runtime_error(
      "mpirun: namm must be built with MPI to share its work among processes, was not; install libopenmpi-dev and build again");
}
#endif

}  // namespace namm::cli
