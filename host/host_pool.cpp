#include "host/host_pool.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace namm {

HostPool::HostPool(HostFactory factory, int workers) : factory_(std::move(factory)) {
  if (workers < 1) throw std::invalid_argument("workers: must be at least 1, is " + std::to_string(workers));
  if (!factory_) throw std::invalid_argument("host factory: must not be empty");
  hosts_.resize(static_cast<std::size_t>(workers));
  hosts_.front() = factory_();
  if (!hosts_.front()) throw std::invalid_argument("host factory: must return a host, returned null");
}

bool HostPool::run(std::size_t count, const std::function<void(std::size_t, Host&)>& work, const std::atomic<bool>* stop,
                   const Progress& progress) {
  const std::size_t threads = std::min(hosts_.size(), count);
  for (std::size_t w = 0; w < threads; ++w) {
    if (!hosts_[w]) hosts_[w] = factory_();
    if (!hosts_[w]) throw std::invalid_argument("host factory: must return a host, returned null");
  }

  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;  // guards the three below
  std::size_t done = 0, failed_unit = count;
  std::exception_ptr error;

  // Workers share the cores: parallel regions inside the hosts must not multiply with them. The setting is each thread's own.
  const int cores = omp_get_max_threads();
  const int cores_each = std::max(1, cores / static_cast<int>(std::max<std::size_t>(threads, 1)));

  const auto drive = [&](std::size_t worker) {
    omp_set_num_threads(cores_each);
    while (!failed && !(stop != nullptr && *stop)) {
      const std::size_t unit = next++;
      if (unit >= count) return;
      try {
        work(unit, *hosts_[worker]);
        const std::lock_guard lock(mutex);
        ++done;
        if (progress) progress(done, count);
      } catch (...) {
        if (stop != nullptr && *stop) return;  // broken off in the middle, or failed too late to matter
        const std::lock_guard lock(mutex);
        failed = true;
        if (unit < failed_unit) {
          failed_unit = unit;
          error = std::current_exception();
        }
      }
    }
  };

  std::vector<std::jthread> others;
  others.reserve(threads);
  for (std::size_t w = 1; w < threads; ++w) others.emplace_back(drive, w);
  if (threads > 0) drive(0);
  others.clear();  // joins
  omp_set_num_threads(cores);
  if (error) std::rethrow_exception(error);
  return done == count;
}

}  // namespace namm
