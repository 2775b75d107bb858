// The shared memory of a block, with a memory of who touched each byte. Between two barriers a byte
// belongs to its one writer or to its readers; a byte that waits for an asynchronous copy belongs
// to nobody.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "failure.hpp"

namespace emulation {

class shared_memory {
 public:
  shared_memory(std::size_t bytes, int threads)
      : bytes_(bytes), cells_(bytes), copies_(static_cast<std::size_t>(threads)) {}

  std::size_t size() const { return bytes_.size(); }

  /// As at the start of a block: nothing is written.
  void clear() {
    bytes_.assign(bytes_.size(), 0xff);  // NaN in every floating-point format
    cells_.assign(cells_.size(), {});
    for (auto& c : copies_) c = {};
    epoch_ = 1;
  }
  /// All threads have met at a barrier.
  void barrier() { ++epoch_; }

  template <class T> T load(int thread, int at) {
    check_place(at, sizeof(T), sizeof(T));
    for (cell& c : range(at, sizeof(T))) check_read(c, thread, at, sizeof(T));
    T x;
    std::memcpy(&x, &bytes_[static_cast<std::size_t>(at)], sizeof(T));
    return x;
  }
  template <class T> void store(int thread, int at, const T& x) {
    check_place(at, sizeof(T), sizeof(T));
    for (cell& c : range(at, sizeof(T))) {
      check_write(c, thread, at, sizeof(T));
      c.written = epoch_;
      c.writer = static_cast<std::int16_t>(thread);
    }
    std::memcpy(&bytes_[static_cast<std::size_t>(at)], &x, sizeof(T));
  }

  /// Puts x there for the thread's wave, whose lanes then read it by plain reference, whenever they
  /// like: nobody else may write there any more.
  template <class T> const T& keep(int thread, int at, const T& x) {
    static_assert(std::is_trivially_copyable_v<T>);
    check_place(at, sizeof(T), alignof(T));
    for (cell& c : range(at, sizeof(T))) {
      check_write(c, thread, at, sizeof(T));
      c.written = kept;
      c.writer = static_cast<std::int16_t>(thread);
    }
    unsigned char* place = &bytes_[static_cast<std::size_t>(at)];
    std::memcpy(place, &x, sizeof(T));
    return *reinterpret_cast<const T*>(place);
  }

  /// An asynchronous copy of 16 bytes from global memory, or of zeros where `from` is null. Its
  /// bytes land now, or when the thread waits for them: nobody can tell without an error.
  void copy(int thread, int at, const void* from, std::mt19937_64& random) {
    check_place(at, copy_bytes, copy_bytes);
    for (cell& c : range(at, copy_bytes)) {
      check_write(c, thread, at, copy_bytes);
      c.written = pending;
      c.writer = static_cast<std::int16_t>(thread);
    }
    copies_[static_cast<std::size_t>(thread)].issued.push_back({at, from});
    if (random() % 2 == 0) fill(at, from);
  }
  /// The copies that a thread issued since its last commit become a group.
  void commit(int thread) {
    copy_queue& queue = copies_[static_cast<std::size_t>(thread)];
    queue.group_ends.push_back(queue.issued.size());
  }
  /// Completes the groups of a thread, all but the latest `left`.
  void wait(int thread, int left) {
    copy_queue& queue = copies_[static_cast<std::size_t>(thread)];
    const std::size_t keep = static_cast<std::size_t>(left);
    if (queue.group_ends.size() <= keep) return;
    const auto groups = static_cast<std::ptrdiff_t>(queue.group_ends.size() - keep);
    const std::size_t done = queue.group_ends[static_cast<std::size_t>(groups) - 1];
    for (std::size_t i = 0; i < done; ++i) {
      fill(queue.issued[i].at, queue.issued[i].from);
      for (cell& c : range(queue.issued[i].at, copy_bytes)) c.written = epoch_;
    }
    queue.issued.erase(queue.issued.begin(),
                       queue.issued.begin() + static_cast<std::ptrdiff_t>(done));
    queue.group_ends.erase(queue.group_ends.begin(), queue.group_ends.begin() + groups);
    for (std::size_t& end : queue.group_ends) end -= done;
  }

 private:
  static constexpr std::size_t copy_bytes = 16;
  static constexpr std::int16_t nobody = -1, several = -2;
  static constexpr std::uint32_t pending = UINT32_MAX, kept = UINT32_MAX - 1;  // not an epoch
  struct cell {
    std::uint32_t written = 0, read = 0;  // in which epoch, last
    std::int16_t writer = nobody, reader = nobody;
  };
  struct issued_copy {
    int at;
    const void* from;
  };
  struct copy_queue {
    std::vector<issued_copy> issued;
    std::vector<std::size_t> group_ends;
  };
  struct cells_of {
    cell *first, *last;
    cell* begin() const { return first; }
    cell* end() const { return last; }
  };

  cells_of range(int at, std::size_t bytes) { return {&cells_[0] + at, &cells_[0] + at + bytes}; }
  void fill(int at, const void* from) {
    if (from == nullptr)
      std::memset(&bytes_[static_cast<std::size_t>(at)], 0, copy_bytes);
    else
      std::memcpy(&bytes_[static_cast<std::size_t>(at)], from, copy_bytes);
  }

  static std::string span(int at, std::size_t bytes) {
    return text("bytes ", at, " to ", at + static_cast<int>(bytes) - 1);
  }
  void check_place(int at, std::size_t bytes, std::size_t alignment) const {
    if (at < 0 || static_cast<std::size_t>(at) + bytes > bytes_.size())
      fail("shared memory out of bounds: ", span(at, bytes), " of ", bytes_.size());
    if (static_cast<std::size_t>(at) % alignment != 0)
      fail("shared memory misaligned: ", span(at, bytes));
  }
  void check_read(cell& c, int thread, int at, std::size_t bytes) const {
    if (c.writer == nobody) fail("shared memory uninitialised: reads ", span(at, bytes));
    if (c.written == pending)
      fail("pending copy: reads ", span(at, bytes), ", which thread ", c.writer,
           " has not waited for");
    if (c.written == epoch_ && c.writer != thread)
      fail("shared memory race: reads ", span(at, bytes), ", which thread ", c.writer,
           " has written since the last barrier");
    c.reader = c.read == epoch_ && c.reader != thread ? several : static_cast<std::int16_t>(thread);
    c.read = epoch_;
  }
  void check_write(const cell& c, int thread, int at, std::size_t bytes) const {
    if (c.written == pending)
      fail("pending copy: overwrites ", span(at, bytes), ", which thread ", c.writer,
           " has not waited for");
    if (c.written == kept && c.writer != thread)
      fail("shared memory race: writes ", span(at, bytes), ", which thread ", c.writer, " keeps");
    if (c.written == epoch_ && c.writer != thread)
      fail("shared memory race: writes ", span(at, bytes), ", and so has thread ", c.writer,
           " since the last barrier");
    if (c.read == epoch_ && c.reader != thread)
      fail("shared memory race: overwrites ", span(at, bytes), ", which ",
           c.reader == several ? std::string("several threads have")
                               : text("thread ", c.reader, " has"),
           " read since the last barrier");
  }

  std::vector<unsigned char> bytes_;
  std::vector<cell> cells_;
  std::vector<copy_queue> copies_;
  std::uint32_t epoch_ = 1;
};

}  // namespace emulation
