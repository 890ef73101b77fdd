// Threads of updates: as many as the context has, and none that a fork has left behind.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "base/first_error.hpp"
#include "namm/llama.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/llama/context.hpp"
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

#if !defined(__SANITIZE_THREAD__)  // refuses to run threads in a child of a process that had some
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
