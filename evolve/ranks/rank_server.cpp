#include "evolve/ranks/rank_server.hpp"

#include <omp.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <thread>

#include "evolve/ranks/letters.hpp"
#include "namm/policy.hpp"

namespace namm::evolve {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kServerPause{200};

/// A job with what it is about, which may be forgotten while it waits.
struct Work {
  std::uint64_t number = 0;
  std::vector<CachePolicy> memories;
  std::shared_ptr<const Prompt> prompt;
};

/// Jobs to the threads, answers back.
class Desk {
 public:
  void put(Work work) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(work));
    wake_.notify_one();
  }
  std::optional<Work> wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
    if (closed_) return std::nullopt;
    Work work = std::move(jobs_.front());
    jobs_.pop_front();
    return work;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wake_.notify_all();
  }
  void answer(letters::Any letter) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(letter));
  }
  std::optional<letters::Any> next_answer() {
    const std::lock_guard lock(mutex_);
    if (answers_.empty()) return std::nullopt;
    letters::Any letter = std::move(answers_.front());
    answers_.pop_front();
    return letter;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> jobs_;
  std::deque<letters::Any> answers_;
  bool closed_ = false;
};

letters::Failed failure() {
  try {
    throw;
  } catch (const std::invalid_argument& error) {
    return {true, false, error.what()};
  } catch (const std::bad_alloc&) {
    return {false, false, "memory: not enough for this; use a smaller --context, --workers or model"};
  } catch (const std::exception& error) {
    return {false, false, error.what()};
  }
}

/// What rank 0 has sent.
class Store {
 public:
  explicit Store(const std::vector<std::shared_ptr<const tasks::Task>>& tasks) : tasks_(tasks) {}
  void add(const letters::Shape& shape) { shapes_[shape.id] = make_policy(shape.kind, nlohmann::json::parse(shape.settings)); }
  void add(const letters::Parameters& parameters) {
    std::shared_ptr<Policy> policy = shapes_.at(parameters.shape)->clone();
    if (!parameters.values.empty()) policy->set_parameters(parameters.values);
    policies_[parameters.id] = std::move(policy);
  }
  void add(letters::PromptLetter letter) {
    letter.prompt.task = tasks_.at(letter.task);
    prompts_[letter.id] = std::make_shared<Prompt>(std::move(letter.prompt));
  }
  Work work(const letters::Job& job) const {
    Work out{job.number, {}, prompts_.at(job.prompt)};
    for (const letters::Job::Part& part : job.parts) {
      out.memories.push_back(part.memory);
      if (part.policy != letters::Job::kNothing) out.memories.back().policy = policies_.at(part.policy);
    }
    return out;
  }
  void forget() {
    policies_.clear();
    prompts_.clear();
  }

 private:
  const std::vector<std::shared_ptr<const tasks::Task>>& tasks_;
  std::map<std::uint64_t, std::unique_ptr<Policy>> shapes_;
  std::map<std::uint64_t, std::shared_ptr<const Policy>> policies_;
  std::map<std::uint64_t, std::shared_ptr<const Prompt>> prompts_;
};

}  // namespace

bool serve_units(Channel& channel, HostPool& pool, const Fitness& fitness, const ProtocolSettings& protocol,
                 const std::vector<std::shared_ptr<const tasks::Task>>& tasks, const RankServerSettings& settings,
                 const std::atomic<bool>* stop) {
  Desk desk;
  const auto measure = [&](std::size_t, Host& host) {
    while (const auto work = desk.wait()) {
      try {
        const auto began = Clock::now();
        std::vector<double> values = fitness.measure_together(host, work->memories, *work->prompt, protocol);
        const float seconds = std::chrono::duration<float>(Clock::now() - began).count();
        desk.answer(letters::Measured{work->number, std::move(values), seconds});
      } catch (...) {
        desk.answer(failure());
      }
    }
  };
  const int threads = omp_get_max_threads();
  std::jthread driver([&] {
    omp_set_num_threads(threads);
    try {
      pool.run(static_cast<std::size_t>(pool.workers()), measure);
    } catch (...) {
      desk.answer(failure());  // a further host could not be made
    }
  });
  struct Closer {
    Desk& desk;
    ~Closer() { desk.close(); }
  } closer{desk};

  Store store(tasks);
  auto spoke = Clock::now();
  std::size_t busy = 0;
  bool told = false, for_good = true;
  const auto send = [&](const letters::Any& letter) {
    channel.send(0, letters::write(letter));
    spoke = Clock::now();
  };
  for (bool stopped = false; !stopped;) {
    bool idle = true;
    while (auto letter = channel.receive()) {
      idle = false;
      try {
        letters::Any content = letters::read(letter->bytes);
        if (std::holds_alternative<letters::Begin>(content))
          send(letters::Hello{settings.identity, settings.machine, static_cast<std::uint32_t>(pool.workers())});
        if (auto* shape = std::get_if<letters::Shape>(&content)) store.add(*shape);
        if (auto* parameters = std::get_if<letters::Parameters>(&content)) store.add(*parameters);
        if (auto* prompt = std::get_if<letters::PromptLetter>(&content)) store.add(std::move(*prompt));
        if (auto* job = std::get_if<letters::Job>(&content)) {
          desk.put(store.work(*job));
          ++busy;
        }
        if (std::holds_alternative<letters::Forget>(content)) store.forget();
        if (const auto* stop_letter = std::get_if<letters::Stop>(&content)) {
          stopped = true;
          for_good = stop_letter->for_good;
        }
      } catch (...) {
        send(failure());
      }
    }
    while (const auto answer = desk.next_answer()) {
      idle = false;
      send(*answer);
      if (busy > 0) --busy;
    }
    if (stop != nullptr && *stop && !told) {
      send(letters::Failed{false, true, "was told to end"});
      told = true;
    }
    if (busy > 0 && Clock::now() - spoke > std::chrono::duration<double>(settings.alive_every_seconds)) send(letters::Alive{});
    if (idle) std::this_thread::sleep_for(kServerPause);
  }
  desk.close();
  driver.join();
  send(letters::Bye{});
  return for_good;
}

void report_failure(Channel& channel, const std::string& what, bool wrong_usage) {
  for (;;) {
    const auto letter = channel.receive();
    if (!letter) {
      std::this_thread::sleep_for(kServerPause);
      continue;
    }
    const letters::Any content = letters::read(letter->bytes);
    if (std::holds_alternative<letters::Begin>(content))
      channel.send(0, letters::write(letters::Failed{wrong_usage, false, what}));
    const auto* stop = std::get_if<letters::Stop>(&content);
    if (stop == nullptr) continue;
    channel.send(0, letters::write(letters::Bye{}));
    if (stop->for_good) return;
  }
}

}  // namespace namm::evolve
