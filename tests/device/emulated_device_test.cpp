// The emulated device itself: what is shown on it is only worth what it can catch.
#include <ggml.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/check.hpp"
#include "tests/device/placed_context.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/emulated_memory.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// The signal that a child dies from that does this; 0 if it lives.
template <class Work>
int deadly(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // not the test program's
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("a model runs on an emulated device as on the CPU", "[device][emulated]") {
  TinyShape shape;
  if (GENERATE(false, true)) shape.architecture = "jamba";
  const int delay = GENERATE(0, 200);
  const bool two = GENERATE(false, true);
  INFO(shape.architecture << ", delay " << delay << " us, " << (two ? 2 : 1) << " devices");
  const auto model = write_tiny_model(shape);
  const auto tokens = random_tokens(80, shape.vocabulary, 3);
  Placement on_cpu;
  on_cpu.devices.clear();
  const auto expected = PlacedContext(model, on_cpu).evaluate(tokens, 70);

  emulated_settings().delay_us = delay;
  Placement on_device;
  if (two) on_device.devices = {0, 1};
  const std::size_t before = emulated_bytes(0);
  {
    PlacedContext context(model, on_device);
    CHECK(emulated_bytes(0) > before + (1 << 16));  // weights and the cache
    CHECK(relative_difference(context.evaluate(tokens, 70), expected) < 1e-5);
  }
  emulated_settings().delay_us = 0;
  CHECK(emulated_bytes(0) == before);
}

TEST_CASE("whoever touches memory of an emulated device dies", "[device][emulated]") {
  register_emulated_devices(2);
  ggml_backend_buffer_t const buffer = ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(emulated_device(0)), 4096);
  auto* const address = static_cast<volatile char*>(ggml_backend_buffer_get_base(buffer));
  CHECK(deadly([&] { static_cast<void>(address[7]); }) == SIGSEGV);
  CHECK(deadly([&] { address[7] = 1; }) == SIGSEGV);
  CHECK(deadly([&] { ggml_backend_buffer_clear(buffer, 0); }) == 0);
  ggml_backend_buffer_free(buffer);
}

TEST_CASE("work on an emulated device is done later, unless it is waited for", "[device][emulated]") {
  register_emulated_devices(2);
  ggml_backend_t const backend = ggml_backend_dev_init(emulated_device(0), nullptr);
  ggml_context* const context = ggml_init({4 * ggml_tensor_overhead(), nullptr, true});
  ggml_tensor* const tensor = ggml_new_tensor_1d(context, GGML_TYPE_F32, 16);
  ggml_backend_buffer_t const buffer =
      ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_get_default_buffer_type(backend));
  const std::vector<float> ones(16, 1.0f), twos(16, 2.0f);
  std::vector<float> seen(16);
  ggml_backend_tensor_set(tensor, ones.data(), 0, 64);
  emulated_settings().delay_us = 20000;
  ggml_backend_tensor_set_async(backend, tensor, twos.data(), 0, 64);
  ggml_backend_tensor_get(tensor, seen.data(), 0, 64);  // past the queue
  CHECK(seen == ones);
  ggml_backend_synchronize(backend);
  emulated_settings().delay_us = 0;
  ggml_backend_tensor_get(tensor, seen.data(), 0, 64);
  CHECK(seen == twos);
  ggml_backend_buffer_free(buffer);
  ggml_free(context);
  ggml_backend_free(backend);
}
