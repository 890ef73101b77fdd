#include "evolve/ranks/rank_units.hpp"

#include <omp.h>

#include <algorithm>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "kernels/isa.hpp"

namespace namm::evolve {
namespace {

constexpr std::chrono::microseconds kPollPause{200};  // between polls: waiting inside MPI would burn a core

std::string seconds_text(std::chrono::duration<double> time) {
  return std::to_string(static_cast<long>(time.count() + 0.5)) + " s";
}

/// What is said of a rank that has another identity: the first field in which the two differ, with both values.
std::string difference(const std::string& ours, const std::string& theirs) {
  const auto a = nlohmann::json::parse(ours, nullptr, false), b = nlohmann::json::parse(theirs, nullptr, false);
  const auto must = [](const std::string& has) {
    return ": must have rank 0's model and settings, has " + has + "; give all ranks the same files";
  };
  if (!a.is_object() || !b.is_object()) return must("another version");
  for (const auto& [key, value] : a.items()) {
    const std::string other = b.contains(key) ? b[key].dump() : "nothing";
    if (other == value.dump()) continue;
    if (key == kIsaIdentity && value.is_string() && b.contains(key) && b[key].is_string()) {
      const auto here = value.get<std::string>(), there = b[key].get<std::string>();
      return ": must use rank 0's instruction set (" + here + "), uses " + there +
             "; set NAMM_ISA=" + kernels::lesser_isa(here, there) + " on all ranks";
    }
    return must(key + " " + other.substr(0, 80) + ", here " + value.dump().substr(0, 80));
  }
  return must("a further setting");
}

}  // namespace

/// The groups not begun yet and the values there are: shared with the threads of this process.
class RankUnits::Batch {
 public:
  Batch(const UnitBatch& batch, PromptHolders& holders, std::span<double> values, UnitCosts& costs)
      : batch_(batch), queue_(batch, holders), values_(values), costs_(costs), have_(batch.groups.size()) {}

  std::optional<std::size_t> take(int rank) {
    const std::lock_guard lock(mutex_);
    return closed_ ? std::nullopt : queue_.take(rank);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void put(std::size_t index, std::span<const double> values, float seconds) {
    const std::lock_guard lock(mutex_);
    if (index >= have_.size() || have_[index]) return;
    if (values.size() != batch_.group(index).size())
      throw std::runtime_error("values: must be " + std::to_string(batch_.group(index).size()) + ", one for each memory, are " +
                               std::to_string(values.size()) + "; start the same namm on all ranks");
    have_[index] = true;
    queue_.done(index);
    std::copy(values.begin(), values.end(), values_.begin() + static_cast<std::ptrdiff_t>(batch_.groups[index].first));
    costs_.seconds.push_back(seconds);
    ++done_;
  }
  std::size_t done() const {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  mutable std::mutex mutex_;
  const UnitBatch& batch_;
  GroupQueue queue_;
  std::span<double> values_;
  UnitCosts& costs_;
  std::vector<bool> have_;
  std::size_t done_ = 0;
  bool closed_ = false;
};

RankUnits::RankUnits(HostPool& pool, Channel& channel, std::vector<std::shared_ptr<const tasks::Task>> tasks,
                     RankSettings settings, const std::atomic<bool>* stop)
    : pool_(pool), channel_(channel), tasks_(std::move(tasks)), settings_(std::move(settings)), ranks_(channel.ranks()) {
  const auto began = Clock::now();
  std::set<int> missing;
  for (int rank = 1; rank < channel_.ranks(); ++rank) {
    missing.insert(rank);
    send(rank, messages::Begin{});
  }
  while (!missing.empty()) {
    const auto message = channel_.receive();
    if (!message) {
      if (stop != nullptr && *stop)
        throw std::runtime_error(name(*missing.begin()) +
                                 ": must be ready before the run is stopped, was still loading; start it again, or go on with "
                                 "--resume if the folder has a checkpoint");
      if (Clock::now() - began > settings_.start_limit)
        throw std::runtime_error(name(*missing.begin())
                                     .append(": must be ready within ")
                                     .append(seconds_text(settings_.start_limit))
                                     .append(", is silent; see whether its machine can read the model"));
      std::this_thread::sleep_for(kPollPause);
      continue;
    }
    const messages::Any content = messages::read(message->bytes);
    if (const auto* failed = std::get_if<messages::Failed>(&content)) {
      const std::string text = name(message->rank) + ": " + failed->what;
      if (failed->wrong_usage) throw std::invalid_argument(text);
      throw std::runtime_error(text);
    }
    if (const auto* hello = std::get_if<messages::Hello>(&content)) {
      Rank& rank = ranks_[static_cast<std::size_t>(message->rank)];
      rank.machine = hello->machine;
      rank.workers = std::clamp(hello->workers, 1u, 4096u);
      if (hello->identity != settings_.identity)
        throw std::runtime_error(name(message->rank) + difference(settings_.identity, hello->identity));
      missing.erase(message->rank);
    }
  }
}

int RankUnits::workers() const {
  int sum = pool_.workers();
  for (std::size_t r = 1; r < ranks_.size(); ++r) sum += static_cast<int>(ranks_[r].workers);
  return sum;
}

std::string RankUnits::name(int rank) const {
  std::string text = "rank " + std::to_string(rank);
  const std::string& machine = ranks_[static_cast<std::size_t>(rank)].machine;
  if (!machine.empty()) text.append(" on ").append(machine);
  return text;
}

void RankUnits::send(int rank, const messages::Any& message) {
  std::vector<std::byte> bytes = messages::write(message);
  bytes_sent_ += bytes.size();
  channel_.send(rank, std::move(bytes));
}

std::uint64_t RankUnits::shape_of(const Policy& policy) {
  const std::unique_ptr<Policy> blank = policy.clone();
  if (blank->parameter_count() > 0) blank->set_parameters(std::vector<float>(blank->parameter_count(), 0.0f));
  const std::string kind(policy.name()), settings = blank->to_json().dump();
  const auto [entry, fresh] = shape_ids_.try_emplace(kind + " " + settings, shapes_.size());
  if (fresh) shapes_.push_back({entry->second, kind, settings});
  return entry->second;
}

void RankUnits::hand_out(int rank, const UnitBatch& batch, std::size_t index) {
  Rank& to = ranks_[static_cast<std::size_t>(rank)];
  messages::Job job;
  job.number = first_job_ + index;
  job.prompt = batch.prompt_of(index);
  for (const Unit& unit : batch.group(index)) {
    const CachePolicy& memory = batch.memories[unit.memory];
    messages::Job::Part& part = job.parts.emplace_back();
    part.memory = memory;
    part.memory.policy = nullptr;
    if (!memory.policy) continue;
    auto found = policies_.find(memory.policy.get());
    if (found == policies_.end())
      found =
          policies_.emplace(memory.policy.get(), SentPolicy{next_id_++, shape_of(*memory.policy), memory.policy->parameters()})
              .first;
    const SentPolicy& policy = found->second;
    if (to.shapes.insert(policy.shape).second) send(rank, shapes_[policy.shape]);
    if (to.policies.insert(policy.id).second) send(rank, messages::Parameters{policy.id, policy.shape, policy.values});
    part.policy = policy.id;
  }
  if (to.prompts.insert(job.prompt).second) {
    const Prompt& prompt = batch.prompts[job.prompt];
    const auto task = std::find(tasks_.begin(), tasks_.end(), prompt.task);
    if (task == tasks_.end()) throw std::logic_error("prompt " + prompt.sample.id + ": its task is not one of the run's");
    send(rank, messages::PromptMessage{job.prompt, prompt, static_cast<std::uint32_t>(task - tasks_.begin())});
  }
  send(rank, job);
  if (to.busy++ == 0) to.heard = Clock::now();
}

void RankUnits::end_batch() {
  policies_.clear();
  for (int rank = 1; rank < channel_.ranks(); ++rank) {
    Rank& to = ranks_[static_cast<std::size_t>(rank)];
    if (to.policies.empty() && to.prompts.empty()) continue;
    to.policies.clear();
    to.prompts.clear();
    send(rank, messages::Forget{});
  }
}

bool RankUnits::measure(const UnitBatch& batch, std::span<double> values, const std::atomic<bool>* stop,
                        const Progress& progress) {
  const std::size_t count = batch.groups.size();
  Batch shared(batch, holders_, values, costs_);
  const int threads = omp_get_max_threads();  // a new thread would start with the default, the number of cores
  const auto own = [&](std::size_t, Host& host) {
    try {
      while (const auto index = shared.take(0)) {
        const auto began = Clock::now();
        const std::vector<double> measured = batch.fitness.measure_together(
            host, batch.memories_of(*index), batch.prompts[batch.prompt_of(*index)], batch.protocol);
        shared.put(*index, measured, std::chrono::duration<float>(Clock::now() - began).count());
      }
    } catch (...) {
      shared.close();
      throw;
    }
  };
  const std::uint64_t sent_before = bytes_sent_, received_before = bytes_received_;
  std::future<void> local = std::async(std::launch::async, [&] {
    omp_set_num_threads(threads);
    pool_.run(std::min<std::size_t>(count, static_cast<std::size_t>(pool_.workers())), own, stop);
  });
  // Whatever happens below, the threads must not outlive what they use.
  struct Closer {
    Batch& batch;
    std::future<void>& local;
    ~Closer() {
      batch.close();
      if (local.valid()) local.wait();
    }
  } closer{shared, local};

  std::size_t shown = 0;
  bool interrupted = false;
  while (shared.done() < count && !interrupted) {
    bool idle = true;
    while (const auto message = channel_.receive()) {
      idle = false;
      bytes_received_ += message->bytes.size();
      Rank& from = ranks_[static_cast<std::size_t>(message->rank)];
      from.heard = Clock::now();
      const messages::Any content = messages::read(message->bytes);
      if (const auto* measured = std::get_if<messages::Measured>(&content)) {
        if (from.busy > 0) --from.busy;
        if (measured->number >= first_job_) shared.put(measured->number - first_job_, measured->values, measured->seconds);
      } else if (const auto* failed = std::get_if<messages::Failed>(&content)) {
        if (failed->interrupted || interrupted || (stop != nullptr && *stop)) {
          interrupted = true;
          continue;
        }
        const std::string text = name(message->rank) + ": " + failed->what;
        if (failed->wrong_usage) throw std::invalid_argument(text);
        throw std::runtime_error(text);
      }
    }
    if (stop != nullptr && *stop) interrupted = true;
    for (int rank = 1; rank < channel_.ranks() && !interrupted; ++rank) {
      Rank& to = ranks_[static_cast<std::size_t>(rank)];
      while (to.busy < to.workers) {
        const auto index = shared.take(rank);
        if (!index) break;
        hand_out(rank, batch, *index);
        idle = false;
      }
      if (to.busy > 0 && Clock::now() - to.heard > settings_.silence_limit)
        throw std::runtime_error(name(rank)
                                     .append(": must answer within ")
                                     .append(seconds_text(settings_.silence_limit))
                                     .append(", is silent; the checkpoint is whole, go on with --resume"));
    }
    if (local.valid() && local.wait_for(std::chrono::seconds(0)) == std::future_status::ready) local.get();
    if (progress && shared.done() > shown) progress(shown = shared.done(), count);
    if (idle) std::this_thread::sleep_for(kPollPause);
  }
  const bool complete = shared.done() == count;
  shared.close();
  if (local.valid()) local.get();
  if (progress && complete && shown < count) progress(count, count);
  first_job_ += count;
  end_batch();
  costs_.bytes_sent += bytes_sent_ - sent_before;
  costs_.bytes_received += bytes_received_ - received_before;
  return complete;
}

bool RankUnits::dismiss(Channel& channel, std::chrono::duration<double> limit, bool for_good) noexcept {
  try {
    const auto began = Clock::now();
    std::set<int> missing;
    for (int rank = 1; rank < channel.ranks(); ++rank) {
      channel.send(rank, messages::write(messages::Stop{for_good}));
      missing.insert(rank);
    }
    while (!missing.empty() && Clock::now() - began < limit) {
      const auto message = channel.receive();
      if (!message) {
        std::this_thread::sleep_for(kPollPause);
      } else if (std::holds_alternative<messages::Bye>(messages::read(message->bytes))) {
        missing.erase(message->rank);
      }
    }
    return missing.empty();
  } catch (...) {
    return false;
  }
}

}  // namespace namm::evolve
