// The flags an attachment supplies, and those it cannot live with.
#include "adapters/preload/attach_flags.hpp"

#include <cstdlib>
#include <filesystem>

#include "tests/check.hpp"
#include "tests/preload/attached.hpp"
#include "tests/support/folder.hpp"

using namm::preload::attach_flags;
using namm::test::Words;

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

TEST_CASE("speculation is refused under every spelling", "[preload][flags]") {
  for (const Words& words : {Words{"--spec-type", "ngram-mod"},
                             {"--spec_type", "ngram-mod"},
                             {"--spec-default"},
                             {"--spec_default"},
                             {"-md", "x"},
                             {"--model_draft", "x"},
                             {"--spec_draft_model=x"},
                             {"-hfd", "a/b"},
                             {"-hfrd", "a/b"},
                             {"--hf-repo-draft", "a/b"},
                             {"--spec-draft-hf", "a/b"},
                             {"--fim-qwen-7b-spec"},
                             {"--fim_qwen_14b_spec"},
                             {"--spec-type", "none,ngram-mod"}}) {
    CAPTURE(words.front());
    CHECK_THAT(refusal("llama-server", words),
               Contains(words.front().substr(0, words.front().find('='))) && Contains("drafted tokens"));
  }
  CHECK(refusal("llama-server", {"--spec-type", "none", "--draft-max", "8"}) == "accepted");
  CHECK_THAT(refusal("llama-server", {"--flash_attn", "off"}), Contains("--flash_attn: must be on"));
  for (const char* const variable : {"LLAMA_ARG_SPEC_TYPE", "LLAMA_ARG_SPEC_DRAFT_MODEL", "LLAMA_ARG_SPEC_DRAFT_HF_REPO"}) {
    setenv(variable, "draft-mtp", 1);
    CHECK_THAT(refusal("llama-server", {}), Contains(variable) && Contains("drafted tokens"));
    unsetenv(variable);
  }
}

TEST_CASE("presets of a router are looked through", "[preload][flags]") {
  const namm::test::Folder folder;
  const std::string path = folder / "presets.ini";
  namm::test::write(path,
                    "version = 1\n[*]\nctx-checkpoints = 32\n; spec-type = ngram-mod\n[small]\nspec-type = none\nc = 4096\n");
  CHECK(refusal("llama-server", {"--models-preset", path}) == "accepted");
  for (const char* const line : {"spec-type = ngram-mod", "LLAMA_ARG_SPEC_TYPE=ngram-mod", "md = draft.gguf",
                                 "spec-default = true", "context-shift = on"}) {
    CAPTURE(line);
    namm::test::write(path, std::string("[small]\n") + line + "\n");
    CHECK_THAT(refusal("llama-server", {"--models_preset", path}), Contains(path) && Contains("must"));
  }
}

TEST_CASE("llama.cpp's configuration file is looked through", "[preload][flags]") {
  const namm::test::Folder folder;
  std::filesystem::create_directory(folder / "llama.cpp");
  namm::test::write(folder / "llama.cpp/config.ini", "spec-type = ngram-mod\n");
  const char* const before = std::getenv("XDG_CONFIG_HOME");
  const std::string restored = before ? before : "";
  setenv("XDG_CONFIG_HOME", folder.path().c_str(), 1);
  CHECK_THAT(refusal("llama-server", {}), Contains("config.ini: spec-type: must be none"));
  CHECK(refusal("llama-server", {"--spec-type", "none"}) == "accepted");  // the command line counts
  CHECK(refusal("llama-bench", {}) == "accepted");
  before ? setenv("XDG_CONFIG_HOME", restored.c_str(), 1) : unsetenv("XDG_CONFIG_HOME");
}

TEST_CASE("what the environment sets is not supplied again", "[preload][flags]") {
  setenv("LLAMA_ARG_FLASH_ATTN", "on", 1);
  setenv("LLAMA_ARG_NO_KV_OFFLOAD", "1", 1);
  CHECK(attach_flags("llama-server", {}) == Words{"-ctxcp", "0"});
  CHECK(namm::preload::missing_flags("llama-server", {"-m", "x"}) == "-ctxcp 0");
  CHECK(attach_flags("llama-bench", {}) == Words{"-fa", "on", "-nkvo", "1"});  // it does not read it
  unsetenv("LLAMA_ARG_FLASH_ATTN");
  unsetenv("LLAMA_ARG_NO_KV_OFFLOAD");
}

TEST_CASE("a program that offloads all layers keeps its cache on the device, if the policy can be there", "[preload][flags]") {
  const auto flags = [](const char* program, const Words& words, bool device = true) {
    return namm::preload::attach_flags(program, words, device);
  };
  for (const Words& all : {Words{"-ngl", "99"}, Words{"--n-gpu-layers=999"}, Words{"--gpu-layers", "all"}}) {
    Words expected = all;
    expected.insert(expected.end(), {"-fa", "on", "-ctxcp", "0"});
    CHECK(flags("llama-server", all) == expected);
    expected = all;
    expected.insert(expected.end(), {"-fa", "on"});
    CHECK(flags("llama-completion", all) == expected);
    expected.push_back("-nkvo");
    CHECK(flags("llama-completion", all, false) == expected);  // a policy that cannot
  }
  for (const Words& some : {Words{"-ngl", "20"}, Words{"-ngl", "auto"}, Words{"-ngl", "0"}, Words{}}) {
    Words expected = some;
    expected.insert(expected.end(), {"-fa", "on", "-nkvo"});
    CHECK(flags("llama-completion", some) == expected);
  }
  CHECK(flags("llama-completion", {"-ngl", "20", "-kvo"}) == Words{"-ngl", "20", "-kvo", "-fa", "on"});
  CHECK_THROWS_WITH(flags("llama-completion", {"-ngl", "0", "-kvo"}), Catch::Contains("-kvo"));
  CHECK_THROWS_WITH(attach_flags("llama-completion", {"-ngl", "20", "-kvo"}, false), Catch::Contains("-kvo"));
  CHECK(flags("llama-completion", {"-ngl", "99", "-nkvo"}) == Words{"-ngl", "99", "-nkvo", "-fa", "on"});
  CHECK(flags("llama-completion", {"-ngl", "99", "--prompt-cache", "x"}) ==
        Words{"-ngl", "99", "--prompt-cache", "x", "-fa", "on"});
  setenv("LLAMA_ARG_N_GPU_LAYERS", "99", 1);
  CHECK(flags("llama-completion", {}) == Words{"-fa", "on"});
  setenv("LLAMA_ARG_KV_OFFLOAD", "off", 1);
  CHECK(flags("llama-completion", {}) == Words{"-fa", "on"});  // and the cache is the host's
  unsetenv("LLAMA_ARG_KV_OFFLOAD");
  unsetenv("LLAMA_ARG_N_GPU_LAYERS");
}
