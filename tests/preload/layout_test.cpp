// A ggml of another layout is refused before anything of it is used.
#include "adapters/llama_cpp/version/layout_check.hpp"

#include <cstdlib>

#include "tests/preload/attached.hpp"
#include "tests/support/sanitizers.hpp"

using namespace namm::test;

namespace {

[[maybe_unused]] Outcome with_other_ggml(const char* difference) {
  setenv("NAMM_TEST_GGML", difference, 1);
  setenv("LD_PRELOAD", NAMM_OTHER_GGML, 1);
  Outcome outcome = attached(model_file(), {"eval:0:4:1"});
  unsetenv("LD_PRELOAD");
  unsetenv("NAMM_TEST_GGML");
  return outcome;
}

}  // namespace

TEST_CASE("the ggml that this is built with has the layout it says", "[preload][layout]") {
  CHECK(namm::llama::layout_problem().empty());
}

#ifndef NAMM_ASAN  // its library would have to come first
TEST_CASE("a ggml with more callbacks or other numbers is refused with the context", "[preload][layout]") {
  const Outcome same = with_other_ggml("none");
  CAPTURE(same.err);
  CHECK(same.code == 0);
  const Outcome callbacks = with_other_ggml("callbacks");
  CHECK(callbacks.code == 4);
  CHECK_THAT(callbacks.err, Contains("must have the layout") && Contains("clear of a buffer: slot 9 here, 11 there"));
  const Outcome operations = with_other_ggml("operations");
  CHECK(operations.code == 4);
  CHECK_THAT(operations.err,
             Contains("must have the layout") && Contains("operation SCALE: number") && Contains("there that is"));
}

TEST_CASE("a program that is linked with another ggml than it was built with is refused, too", "[preload][layout]") {
  NAMM_NEED_HOST(host);
  setenv("NAMM_TEST_GGML", "operations", 1);
  setenv("LD_PRELOAD", NAMM_OTHER_GGML, 1);
  const Outcome outcome = run_program(
      {"run", "--model", host, "--policy", "h2o", "--budget", "50%", "--prompt", "a word", "--max-tokens", "1", "--quiet"});
  unsetenv("LD_PRELOAD");
  unsetenv("NAMM_TEST_GGML");
  check_refused(outcome, 1, {"its ggml must have the layout", "operation SCALE: number", "build namm against this one"});
}
#endif
