#include "evolve/mpi/mpi_channel.hpp"

#define OMPI_SKIP_MPICXX 1  // the C++ binding is gone from the standard
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>

namespace namm::evolve {
namespace {

constexpr int kTag = 1;

void check(int code, const std::string& subject) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw std::runtime_error(subject + ": MPI must reach it, says \"" + std::string(text, static_cast<std::size_t>(length)) +
                           "\"; the checkpoint is whole, go on with --resume");
}

}  // namespace

struct MpiChannel::Parts {
  struct Sending {
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<std::byte> bytes;
  };
  MPI_Comm everyone = MPI_COMM_NULL;
  std::list<Sending> sending;  // MPI reads the bytes until the request is done
};

MpiChannel::MpiChannel() : parts_(std::make_unique<Parts>()) {
  int provided = 0;
  // MPI is called by one thread only, the measuring threads never touch it
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "ranks");
  if (provided < MPI_THREAD_FUNNELED) throw std::runtime_error("MPI: must allow threads beside it, does not; use another MPI");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &parts_->everyone), "ranks");
  MPI_Comm_set_errhandler(parts_->everyone, MPI_ERRORS_RETURN);
  MPI_Comm_rank(parts_->everyone, &rank_);
  MPI_Comm_size(parts_->everyone, &ranks_);
  MPI_Comm here = MPI_COMM_NULL;
  if (MPI_Comm_split_type(parts_->everyone, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &here) == MPI_SUCCESS) {
    MPI_Comm_size(here, &ranks_here_);
    MPI_Comm_free(&here);
  }
}

MpiChannel::~MpiChannel() = default;

void MpiChannel::forget_sent() {
  for (auto one = parts_->sending.begin(); one != parts_->sending.end();) {
    int done = 0;
    check(MPI_Test(&one->request, &done, MPI_STATUS_IGNORE), "ranks");
    one = done ? parts_->sending.erase(one) : std::next(one);
  }
}

void MpiChannel::send(int rank, std::vector<std::byte> bytes) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::runtime_error("rank " + std::to_string(rank) + ": a message must be below 2 GiB, is " +
                             std::to_string(bytes.size()) + " bytes; use shorter prompts");
  forget_sent();
  Parts::Sending& one = parts_->sending.emplace_back();
  one.bytes = std::move(bytes);
  check(MPI_Isend(one.bytes.data(), static_cast<int>(one.bytes.size()), MPI_BYTE, rank, kTag, parts_->everyone, &one.request),
        "rank " + std::to_string(rank));
}

std::optional<Message> MpiChannel::receive() {
  forget_sent();
  int there = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, kTag, parts_->everyone, &there, &status), "ranks");
  if (!there) return std::nullopt;
  int count = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &count), "ranks");
  Message message{status.MPI_SOURCE, std::vector<std::byte>(static_cast<std::size_t>(count))};
  check(MPI_Recv(message.bytes.data(), count, MPI_BYTE, message.rank, kTag, parts_->everyone, MPI_STATUS_IGNORE),
        "rank " + std::to_string(message.rank));
  return message;
}

void MpiChannel::finish() {
  while (!parts_->sending.empty()) {
    forget_sent();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  MPI_Comm_free(&parts_->everyone);
  MPI_Finalize();
}

void MpiChannel::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace namm::evolve
