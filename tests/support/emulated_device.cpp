#include "tests/support/emulated_device.hpp"

#include <ggml-cpu.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/support/emulated_memory.hpp"

namespace namm::test {
namespace {

/// What a backend has been asked for, in order.
class Queue {
 public:
  Queue() : thread_([this] { work(); }) {}
  ~Queue() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void add(std::function<void()> piece) {
    if (!emulated_settings().asynchronous) return piece();
    const std::lock_guard<std::mutex> lock(mutex_);
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return pieces_.empty() && !busy_; });
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || !pieces_.empty(); });
      if (pieces_.empty()) return;
      const std::function<void()> piece = std::move(pieces_.front());
      pieces_.pop_front();
      busy_ = true;
      lock.unlock();
      if (emulated_settings().delay_us > 0) usleep(static_cast<useconds_t>(emulated_settings().delay_us));
      piece();
      lock.lock();
      busy_ = false;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> pieces_;
  bool busy_ = false, ending_ = false;
  std::thread thread_;
};

struct Event {
  std::mutex mutex;
  std::condition_variable changed;
  long recorded = 0, reached = 0;
  long record() {
    const std::lock_guard<std::mutex> lock(mutex);
    return ++recorded;
  }
  long newest() {
    const std::lock_guard<std::mutex> lock(mutex);
    return recorded;
  }
  void reach(long number) {
    const std::lock_guard<std::mutex> lock(mutex);
    reached = std::max(reached, number);
    changed.notify_all();
  }
  void wait(long number) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return reached >= number; });
  }
};

struct Stream {
  EmulatedDevice* device;
  ggml_backend_t cpu;
  Queue queue;
};

Stream& stream_of(ggml_backend_t backend) {
  return *static_cast<Stream*>(backend->context);
}
Event& event_of(ggml_backend_event_t event) {
  return *static_cast<Event*>(event->context);
}
EmulatedDevice& device_of(ggml_backend_dev_t device) {
  return *static_cast<EmulatedDevice*>(device->context);
}

/// Aborts as ggml's Vulkan backend does where attention gets a tensor that begins where a driver cannot bind one. How far apart
/// such places are differs: 16 bytes on llvmpipe.
void require_bindable(const ggml_tensor* node) {
  constexpr std::size_t kAlignment = 64;
  if (node->op != GGML_OP_FLASH_ATTN_EXT && node->op != GGML_OP_SOFT_MAX) return;
  for (const ggml_tensor* const source : node->src) {
    if (!source || !on_emulated_device(source)) continue;
    if (reinterpret_cast<std::uintptr_t>(source->data) % kAlignment == 0) continue;  // buffers begin at pages
    std::fprintf(stderr, "emulated device: what %s reads must begin at a multiple of %zu bytes, does not\n",
                 ggml_op_name(node->op), kAlignment);
    std::abort();
  }
}

/// A graph as it was when it was queued, with pointers that kernels can follow: the runtime may rebuild its own before the work
/// is done.
struct Shadow {
  explicit Shadow(ggml_cgraph* of) {
    const auto count = static_cast<std::size_t>(ggml_graph_n_nodes(of));
    for (std::size_t i = 0; i < count; ++i) {
      ggml_tensor* const node = ggml_graph_node(of, static_cast<int>(i));
      require_bindable(node);
      ggml_tensor* const mine = copy_of(node);
      for (int s = 0; s < GGML_MAX_SRC; ++s) mine->src[s] = node->src[s] ? copy_of(node->src[s]) : nullptr;
      if (pieces.empty() || pieces.back().rubbish > 0) pieces.emplace_back();
      pieces.back().nodes.push_back(mine);
      pieces.back().rubbish = room_behind(node);
      if (pieces.back().rubbish > 0 && pieces.back().rubbish > room_to_end(node)) {
        std::fprintf(stderr, "emulated device: %s needs room behind its result, has none\n", ggml_op_name(node->op));
        std::abort();
      }
    }
  }
  /// One after the other, each with what its last node leaves behind its result.
  void run(ggml_backend_t cpu) {
    for (const Piece& piece : pieces) {
      const std::unique_ptr<ggml_context, void (*)(ggml_context*)> room(
          ggml_init({ggml_graph_overhead_custom(piece.nodes.size() + 1, false) + 1024, nullptr, true}), ggml_free);
      ggml_cgraph* const graph = ggml_new_graph_custom(room.get(), piece.nodes.size() + 1, false);
      for (ggml_tensor* const node : piece.nodes) ggml_graph_add_node(graph, node);
      if (ggml_backend_graph_compute(cpu, graph) != GGML_STATUS_SUCCESS) std::abort();
      const ggml_tensor* const last = piece.nodes.back();
      std::memset(static_cast<char*>(last->data) + ggml_nbytes(last), 0xff, piece.rubbish);
    }
  }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  ggml_tensor* copy_of(const ggml_tensor* tensor) {
    std::unique_ptr<ggml_tensor>& mine = tensors[tensor];
    if (!mine) {
      mine = std::make_unique<ggml_tensor>(*tensor);
      std::fill(std::begin(mine->src), std::end(mine->src), nullptr);
      if (tensor->data && on_emulated_device(tensor)) mine->data = reach(tensor);
    }
    return mine.get();
  }

  struct Piece {
    std::vector<ggml_tensor*> nodes;
    std::size_t rubbish = 0;
  };
  std::vector<Piece> pieces;
  std::unordered_map<const ggml_tensor*, std::unique_ptr<ggml_tensor>> tensors;
};

ggml_status compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Stream& stream = stream_of(backend);
  stream.queue.add([&stream, shadow = std::make_shared<Shadow>(graph)] { shadow->run(stream.cpu); });
  return GGML_STATUS_SUCCESS;
}

ggml_backend_i stream_functions() {
  ggml_backend_i out{};
  out.get_name = [](ggml_backend_t backend) { return stream_of(backend).device->name.c_str(); };
  out.free = [](ggml_backend_t backend) {
    stream_of(backend).queue.wait();
    ggml_backend_free(stream_of(backend).cpu);
    delete &stream_of(backend);
    delete backend;
  };
  out.graph_compute = compute;
  out.synchronize = [](ggml_backend_t backend) { stream_of(backend).queue.wait(); };
  out.set_tensor_async = [](ggml_backend_t backend, ggml_tensor* tensor, const void* from, std::size_t offset, std::size_t size) {
    const auto* const bytes = static_cast<const char*>(from);
    stream_of(backend).queue.add([to = reach(tensor) + offset, copy = std::vector<char>(bytes, bytes + size)] {
      std::copy(copy.begin(), copy.end(), to);
    });
  };
  out.get_tensor_async = [](ggml_backend_t backend, const ggml_tensor* tensor, void* to, std::size_t offset, std::size_t size) {
    stream_of(backend).queue.add([=, from = reach(tensor) + offset] { std::copy(from, from + size, static_cast<char*>(to)); });
  };
  out.event_record = [](ggml_backend_t backend, ggml_backend_event_t event) {
    Event& e = event_of(event);
    stream_of(backend).queue.add([&e, number = e.record()] { e.reach(number); });
  };
  out.event_wait = [](ggml_backend_t backend, ggml_backend_event_t event) {
    Event& e = event_of(event);
    stream_of(backend).queue.add([&e, number = e.newest()] { e.wait(number); });
  };
  return out;
}

ggml_backend_t new_stream(ggml_backend_dev_t device, const char*) {
  static ggml_guid guid = {0x45, 0x4d, 0x55, 0x4c, 0x41, 0x54, 0x45, 0x44, 1, 2, 3, 4, 5, 6, 7, 8};
  ggml_backend_t const cpu = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
  if (!cpu) return nullptr;
  ggml_backend_cpu_set_n_threads(cpu, 1);
  return new ggml_backend{&guid, stream_functions(), device, new Stream{&device_of(device), cpu, {}}};
}

std::size_t free_bytes(ggml_backend_dev_t device) {
  const std::size_t used = device_of(device).bytes, all = emulated_settings().memory;
  return used < all ? all - used : 0;
}

void properties(ggml_backend_dev_t device, ggml_backend_dev_props* out) {
  *out = {};
  out->name = device_of(device).name.c_str();
  out->description = "emulated";
  out->memory_total = emulated_settings().memory;
  out->memory_free = free_bytes(device);
  out->type = GGML_BACKEND_DEVICE_TYPE_GPU;
  out->caps.async = out->caps.events = true;
}

ggml_backend_device_i device_functions() {
  ggml_backend_device_i out{};
  out.get_name = [](ggml_backend_dev_t device) { return device_of(device).name.c_str(); };
  out.get_description = [](ggml_backend_dev_t) { return "emulated"; };
  out.get_memory = [](ggml_backend_dev_t device, std::size_t* free, std::size_t* total) {
    *total = emulated_settings().memory;
    *free = free_bytes(device);
  };
  out.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
  out.get_props = properties;
  out.init_backend = new_stream;
  out.get_buffer_type = [](ggml_backend_dev_t device) { return &device_of(device).type; };
  out.supports_op = [](ggml_backend_dev_t, const ggml_tensor* node) {
    if (emulated_settings().lacks && emulated_settings().lacks(node)) return false;
    return ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), node);
  };
  out.supports_buft = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t type) { return type == &device_of(device).type; };
  out.event_new = [](ggml_backend_dev_t device) { return new ggml_backend_event{device, new Event}; };
  out.event_free = [](ggml_backend_dev_t, ggml_backend_event_t event) {
    delete &event_of(event);
    delete event;
  };
  out.event_synchronize = [](ggml_backend_dev_t, ggml_backend_event_t event) { event_of(event).wait(event_of(event).newest()); };
  return out;
}

// never destroyed: contexts may outlive what is destroyed at exit
auto& devices = *new std::vector<std::unique_ptr<EmulatedDevice>>;

}  // namespace

EmulatedSettings& emulated_settings() {
  static EmulatedSettings settings;
  return settings;
}

ggml_backend_reg_t emulated_registry(int count) {
  static ggml_backend_reg registry = [count] {
    ggml_backend_reg out{};
    out.api_version = GGML_BACKEND_API_VERSION;
    out.iface.get_name = [](ggml_backend_reg_t) { return "EMU"; };
    out.iface.get_device_count = [](ggml_backend_reg_t) { return devices.size(); };
    out.iface.get_device = [](ggml_backend_reg_t, std::size_t index) { return &devices.at(index)->device; };
    out.iface.get_proc_address = [](ggml_backend_reg_t, const char*) -> void* { return nullptr; };
    for (int i = 0; i < count; ++i) {
      auto device = std::make_unique<EmulatedDevice>();
      device->name = std::string("EMU").append(std::to_string(i));
      describe_memory(*device);
      device->device.iface = device_functions();
      device->device.context = device.get();
      devices.push_back(std::move(device));
    }
    return out;
  }();
  for (const auto& device : devices) device->device.reg = &registry;
  return &registry;
}

void register_emulated_devices(int count) {
  ggml_backend_register(emulated_registry(count));
}

ggml_backend_dev_t emulated_device(int index) {
  return &devices.at(static_cast<std::size_t>(index))->device;
}
std::size_t emulated_bytes(int index) {
  return devices.at(static_cast<std::size_t>(index))->bytes;
}
std::size_t emulated_peak(int index) {
  return devices.at(static_cast<std::size_t>(index))->peak;
}
std::size_t emulated_bytes_sent(int index) {
  return devices.at(static_cast<std::size_t>(index))->sent;
}
void reset_emulated_peak(int index) {
  EmulatedDevice& device = *devices.at(static_cast<std::size_t>(index));
  device.peak = device.bytes.load();
}

}  // namespace namm::test
