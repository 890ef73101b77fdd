// Stands for a program with llama.cpp linked in statically: it has what only llama.cpp's cache has. `namm attach` must not let it
// run.
#include <cstdio>
#include <cstdlib>

int main() {
  std::puts(std::getenv("LLAMA_KV_CACHE_DEBUG") ? "debug" : "ran");
}
