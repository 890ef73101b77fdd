// Threads of updates: as many as the context has, and none that a fork has left behind.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "base/first_error.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
#include "tests/support/sanitizers.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// Notes which threads updates run on.
class ThreadSpy final : public Observer {
 public:
  std::string_view name() const override { return "test-threads"; }
  void on_update(const HeadTokens&) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    seen.insert(std::this_thread::get_id());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that others get a head
  }
  std::set<std::thread::id> seen;

 private:
  std::mutex mutex_;
};

CachePolicy spied(const std::shared_ptr<ThreadSpy>& spy) {
  CachePolicy policy =
      load_policy("streaming").with_budget(Budget{Budget::Unit::tokens, 30}).with_interval(16).with_protection(2, 6);
  policy.observer = spy;
  return policy;
}

llama::Attached attached_with(const llama::LlamaModel& model, const CachePolicy& policy, int threads) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 512;
  params.n_threads = params.n_threads_batch = threads;
  return llama::attach(model.get(), params, policy);
}

void read(llama::Attached& context, std::vector<std::int32_t> tokens, std::size_t chunk) {
  for (std::size_t at = 0; at < tokens.size(); at += chunk)
    context.decode(llama_batch_get_one(tokens.data() + at, static_cast<std::int32_t>(std::min(chunk, tokens.size() - at))));
}

/// Runs `work` in a forked child. True if it came back within half a minute.
template <class Work>
bool ends_in_child(Work work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    _exit(0);
  }
  for (int i = 0; i < 600; ++i) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return false;
}

}  // namespace

TEST_CASE("an exception in a parallel loop comes out behind it", "[llama][threads]") {
  FirstError error;
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 8; ++i)
    error.guard([&] {
      if (i % 2) throw std::runtime_error("odd");
    });
  CHECK_THROWS_WITH(error.rethrow(), "odd");
}

TEST_CASE("updates have the threads of their context", "[llama][threads]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto spy = std::make_shared<ThreadSpy>();
  auto context = attached_with(*model, spied(spy), 1);
  read(context, random_tokens(100, 64, 3), 16);
  CHECK(spy->seen == std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST_CASE("models and contexts are made and freed while others evaluate", "[llama][threads]") {
  constexpr int kThreads = 4, kRounds = 3;
  TinyShape plain, windows;
  plain.layers = windows.layers = 2;
  windows.architecture = "gemma2";
  const std::string files[] = {write_tiny_model(plain).string(), write_tiny_model(windows).string()};
  const char* const names[] = {"full", "h2o-mean", "default", "streaming"};
  // loads its model, attaches, reads, saves and restores on the way, frees both
  const auto run = [&](int t) {
    llama_model_params how = llama_model_default_params();
    how.n_gpu_layers = 0;
    const std::unique_ptr<llama_model, void (*)(llama_model*)> model(llama_model_load_from_file(files[t % 2].c_str(), how),
                                                                     llama_model_free);
    if (!model) throw std::runtime_error("a model could not be loaded");
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = 512;
    params.n_ubatch = 32;
    params.n_threads = params.n_threads_batch = 1 + t % 2;
    const CachePolicy policy = std::string(names[t]) == "full" ? full_memory() : load_policy(names[t]).with_budget("30");
    llama::Attached context = llama::attach(model.get(), params, policy.with_interval(16).with_protection(2, 6));
    const auto tokens = random_tokens(150, 64, 7u + static_cast<unsigned>(t));
    read(context, {tokens.begin(), tokens.begin() + 90}, 30);
    const auto saved = context.save(0);
    context.remove(0);
    context.load(saved, 0);
    read(context, {tokens.begin() + 90, tokens.end()}, 30);
    const float* const logits = llama_get_logits_ith(context.context(), -1);
    return std::vector<float>(logits, logits + 64);
  };
  std::vector<std::vector<float>> alone;
  for (int t = 0; t < kThreads; ++t) alone.push_back(run(t));
  FirstError error;
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round)
        error.guard([&] { different += run(t) != alone[static_cast<std::size_t>(t)]; });
    });
  for (std::thread& thread : threads) thread.join();
  error.rethrow();
  CHECK(different == 0);
}

#if !defined(NAMM_TSAN)  // refuses to run threads in a child of a process that had some
TEST_CASE("a forked child goes on", "[llama][threads]") {
  const auto model = llama::LlamaModel::load(write_tiny_model({}));
  const auto spy = std::make_shared<ThreadSpy>();
  auto context = attached_with(*model, spied(spy), 2);
  const auto tokens = random_tokens(100, 64, 3);
  read(context, tokens, 16);
  CHECK(spy->seen.size() == 2);
  CHECK(ends_in_child([&] {  // llama.cpp's own loops hang with two threads
    llama_set_n_threads(context.context(), 1, 1);
    read(context, tokens, 16);
  }));
  CHECK(ends_in_child([&] {  // whatever the number
    const std::vector<std::int32_t> positions = {0, 1, 2, 3, 4, 5, 6, 7};
    HeadTokens head;
    head.positions = positions;
    const std::vector<HeadTokens> heads(8, head);
    update_heads(spied(spy), heads, 8, 64, 0, 2);
    update_heads(spied(spy), heads, 8, 64);
  }));
  read(context, tokens, 16);
}
#endif
