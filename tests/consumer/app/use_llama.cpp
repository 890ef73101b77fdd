// Links the llama.cpp adapter and sees its error for a model that is not there.
#include <cstdio>
#include <stdexcept>

#include <adapters/llama_cpp/llama_model.hpp>

int main() {
  try {
    namm::llama::LlamaModel::load("no-such-model.gguf");
  } catch (const std::runtime_error& error) {
    std::puts(error.what());
    return 0;
  }
  return 1;
}
