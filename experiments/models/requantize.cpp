// A copy of a GGUF with its weights in Q8_0: llama.cpp multiplies those much faster than Q4_1 on a CPU, which is what a long
// evolution or calibration waits for. The weights are rounded once more; llama.cpp's own llama-quantize does the same.
#include <llama.h>

#include <cstdio>
#include <filesystem>
#include <string>

int main(int count, char** words) {
  if (count != 3) {
    std::fputs("usage: namm_requantize MODEL.gguf COPY.gguf     writes the model with weights in Q8_0\n", stderr);
    return 2;
  }
  if (std::filesystem::exists(words[2])) {
    std::fprintf(stderr, "requantize: %s must not exist, does; move it away\n", words[2]);
    return 1;
  }
  llama_model_quantize_params settings = llama_model_quantize_default_params();
  settings.ftype = LLAMA_FTYPE_MOSTLY_Q8_0;
  settings.allow_requantize = true;
  const std::string partial = std::string(words[2]) + ".partial";
  std::error_code error;
  if (llama_model_quantize(words[1], partial.c_str(), &settings) == 0) {
    std::filesystem::rename(partial, words[2], error);
    if (!error) return 0;
  }
  std::filesystem::remove(partial, error);
  std::fprintf(stderr, "requantize: %s could not be read or written as Q8_0\n", words[1]);
  return 1;
}
