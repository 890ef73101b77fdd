// The flags an attachment supplies, and those it cannot live with.
#include "adapters/preload/attach_flags.hpp"

#include <cstdlib>

#include "tests/check.hpp"

using namm::preload::attach_flags;
using Words = std::vector<std::string>;

namespace {

std::string refusal(const std::string& program, const Words& arguments) {
  try {
    attach_flags(program, arguments);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("missing flags are supplied, by program", "[preload][flags]") {
  CHECK(attach_flags("/somewhere/llama-server", {"-m", "x.gguf"}) == Words{"-m", "x.gguf", "-fa", "on", "-nkvo", "-ctxcp", "0"});
  CHECK(attach_flags("llama-completion", {"-p", "x"}) == Words{"-p", "x", "-fa", "on", "-nkvo"});
  CHECK(attach_flags("llama-bench", {}) == Words{"-fa", "on", "-nkvo", "1"});
  CHECK(attach_flags("python3", {"chat.py", "-fa", "off"}) == Words{"chat.py", "-fa", "off"});
  CHECK(attach_flags("llama-server", {"-fa", "1", "-nkvo", "-cram", "64", "--slot-save-path", "/tmp", "--ctx-checkpoints=0"}) ==
        Words{"-fa", "1", "-nkvo", "-cram", "64", "--slot-save-path", "/tmp", "--ctx-checkpoints=0"});
}

TEST_CASE("conflicts name the flag, the rule and the value", "[preload][flags]") {
  CHECK_THAT(refusal("llama-server", {"-fa", "off"}), Contains("-fa: must be on") && Contains("is off") && Contains("remove it"));
  CHECK_THAT(refusal("llama-server", {"--flash-attn=auto"}), Contains("--flash-attn: must be on") && Contains("is auto"));
  CHECK_THAT(refusal("llama-cli", {"-ctxcp", "32"}), Contains("-ctxcp: must be 0"));
  CHECK_THAT(refusal("llama-server", {"-ctk", "q4_0"}), Contains("-ctk: must be f16, f32, bf16 or q8_0") && Contains("is q4_0"));
  CHECK_THAT(refusal("llama-server", {"--context-shift"}), Contains("must be left out"));
  CHECK_THAT(refusal("llama-server", {"-fa"}), Contains("is nothing"));
  setenv("LLAMA_ARG_CTX_CHECKPOINTS", "100", 1);
  CHECK_THAT(refusal("llama-server", {}), Contains("LLAMA_ARG_CTX_CHECKPOINTS: must be 0") && Contains("is 100"));
  CHECK(refusal("llama-server", {"-ctxcp", "0"}) == "accepted");  // the command line counts
  unsetenv("LLAMA_ARG_CTX_CHECKPOINTS");
}
