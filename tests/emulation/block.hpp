// One thread block, lane by lane. Every thread is a fiber; what a wave or the block does together
// is a rendezvous. The order in which waves and lanes run is drawn from a seed.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "banks.hpp"
#include "fibers.hpp"
#include "global_memory.hpp"
#include "shared_memory.hpp"
#include "uniform_values.hpp"

namespace emulation {

class block {
 public:
  block(int waves, int lanes, std::size_t shared_bytes, std::uint64_t seed = 1)
      : lanes_(lanes),
        random_(seed),
        fibers_(waves * lanes),
        shared_(shared_bytes, waves * lanes),
        threads_(static_cast<std::size_t>(waves * lanes)),
        waves_(static_cast<std::size_t>(waves), wave_state(lanes)) {}

  int threads() const { return static_cast<int>(threads_.size()); }
  int lanes() const { return lanes_; }
  std::size_t shared_bytes() const { return shared_.size(); }
  global_memory& global() { return global_; }
  void seed(std::uint64_t value) { random_.seed(value); }

  int origin = 0;  // where the places of shared memory begin
  bool count_banks = false;
  bank_count loads, stores;

  /// Runs body(thread) for every thread, over fresh shared memory, until all have ended. After a
  /// failure the block may run again.
  template <class Body> void run(const Body& body) {
    running_ = -1;
    barriers_ = arrived_ = 0;
    says_ = false;
    alive_ = threads();
    shared_.clear();
    for (thread_state& t : threads_) t = {};
    for (wave_state& w : waves_) {
      w = wave_state(lanes_);
      std::iota(w.order.begin(), w.order.end(), 0);
      std::shuffle(w.order.begin(), w.order.end(), random_);
    }
    fibers_.start(body);
    try {
      while (alive_ > 0) run_some_wave();
    } catch (const failure& f) {
      throw failure(text(f.what(), running_ < 0 ? "" : "; by " + describe_running()));
    }
    for (wave_state& w : waves_) w.banks.count(loads, stores);
  }

  // What lanes ask for. `asks` comes first: it says which line of the kernel does.

  void asks(int thread, const site& where) { state(thread).where = where; }

  /// A rendezvous of a wave: every lane leaves a pointer to what it brings, and the last to come
  /// works for all: work(pointers by lane).
  template <class Work>
  void collective(int thread, std::string_view name, void* mine, const Work& work) {
    wave_state& wave = wave_of(thread);
    const site& where = state(thread).where;
    if (wave.arrived == 0) {
      wave.name = name;
      wave.where = where;
    } else if (wave.name != name || !(wave.where == where)) {
      fail("divergent wave: ", name, " at ", describe(where), " meets ", wave.name, " at ",
           describe(wave.where));
    }
    wave.slots[static_cast<std::size_t>(thread % lanes_)] = mine;
    if (++wave.arrived < lanes_) {
      suspend(thread, in_collective);
      return;
    }
    wave.arrived = 0;
    work(static_cast<void* const*>(wave.slots.data()));
    together(wave);
    const int first = thread / lanes_ * lanes_;
    for (int t = first; t < first + lanes_; ++t) state(t).what = ready;
    wave.ready = lanes_ - 1;  // this one goes on
  }
  /// A rendezvous of the block, which orders accesses to shared memory; tells whether some lane
  /// says yes.
  bool barrier(int thread, bool says = false) {
    says_ = says_ || says;
    if (++arrived_ < threads()) {
      suspend(thread, at_barrier);
      return said_;
    }
    arrived_ = 0;
    said_ = std::exchange(says_, false);
    ++barriers_;
    shared_.barrier();
    for (thread_state& t : threads_) t.what = ready;
    for (wave_state& w : waves_) {
      w.ready = lanes_;
      together(w);
    }
    --wave_of(thread).ready;
    return said_;
  }

  template <class T> T shared_load(int thread, int at) {
    note_banks(thread, at, sizeof(T), false);
    return shared_.load<T>(thread, at - origin);
  }
  template <class T> void shared_store(int thread, int at, const T& x) {
    note_banks(thread, at, sizeof(T), true);
    shared_.store(thread, at - origin, x);
  }
  /// What a wave keeps is its first lane's.
  template <class T> const T& shared_keep(int thread, int at, const T& x) {
    return shared_.keep(thread / lanes_ * lanes_, at - origin, x);
  }
  /// A value that the lanes of a wave must have alike.
  void uniform(int thread, const void* value) {
    wave_of(thread).uniform.note(thread % lanes_, state(thread).where, value);
  }
  /// 16 bytes from global to shared memory, or zeros where they do not exist.
  void copy_async(int thread, int at, const void* from, bool exists) {
    if (exists)
      global_.check(from, 16, 16);
    else
      global_.check_alignment(from, 16, 16);
    note_banks(thread, at, 16, true);
    shared_.copy(thread, at - origin, exists ? from : nullptr, random_);
  }
  void commit_copies(int thread) { shared_.commit(thread); }
  void wait_copies(int thread, int pending) { shared_.wait(thread, pending); }

 private:
  enum activity { ready, in_collective, at_barrier, ended };
  struct thread_state {
    activity what = ready;
    site where;
  };
  struct wave_state {
    explicit wave_state(int lanes)
        : slots(static_cast<std::size_t>(lanes)),
          order(static_cast<std::size_t>(lanes)),
          ready(lanes),
          banks(lanes),
          uniform(lanes) {}
    std::string_view name;
    site where;
    std::vector<void*> slots;
    std::vector<int> order;
    int arrived = 0, ready;
    wave_banks banks;
    uniform_values uniform;
  };

  thread_state& state(int thread) { return threads_[static_cast<std::size_t>(thread)]; }
  wave_state& wave_of(int thread) { return waves_[static_cast<std::size_t>(thread / lanes_)]; }
  void note_banks(int thread, int at, std::size_t bytes, bool write) {
    if (!count_banks) return;
    wave_of(thread).banks.note(thread % lanes_, at, static_cast<int>(bytes), write);
  }

  // Where all lanes of a wave are at one place, what they did before is settled.
  void together(wave_state& wave) {
    wave.uniform.clear();
    if (count_banks) wave.banks.count(loads, stores);
  }

  void suspend(int thread, activity why) {
    state(thread).what = why;
    fibers_.leave();
  }

  // Every lane of one wave that can run does, until it waits.
  void run_some_wave() {
    std::vector<int>& can = runnable_;
    can.clear();
    for (std::size_t w = 0; w < waves_.size(); ++w)
      if (waves_[w].ready > 0) can.push_back(static_cast<int>(w));
    if (can.empty()) {
      running_ = -1;
      fail("deadlock: ", describe_waiting());
    }
    const int w = can[random_() % can.size()];
    wave_state& wave = waves_[static_cast<std::size_t>(w)];
    for (const int lane : wave.order) {
      const int thread = w * lanes_ + lane;
      if (state(thread).what != ready) continue;
      --wave.ready;
      running_ = thread;
      fibers_.resume(thread);
      if (fibers_.ended(thread)) {
        state(thread).what = ended;
        --alive_;
      }
    }
  }

  std::string describe_running() {
    return text("thread ", running_, " (wave ", running_ / lanes_, ", lane ", running_ % lanes_,
                ") at ", describe(state(running_).where), ", after ", barriers_, " barriers");
  }
  std::string describe_waiting() {
    const char* const words[] = {"can run", "wait for the others in", "at the barrier at", "ended"};
    std::string all;
    for (int w = 0; w < static_cast<int>(waves_.size()); ++w)
      for (const activity what : {in_collective, at_barrier, ended}) {
        int count = 0;
        site where;
        for (int t = w * lanes_; t < (w + 1) * lanes_; ++t)
          if (state(t).what == what) ++count, where = state(t).where;
        if (count == 0) continue;
        all += text(all.empty() ? "" : "; ", "wave ", w, ": ", count, " lanes ", words[what]);
        if (what == in_collective) all += text(' ', wave_of(w * lanes_).name, " at");
        if (what != ended) all += ' ' + describe(where);
      }
    return all;
  }

  int lanes_;
  std::mt19937_64 random_;
  fibers fibers_;
  shared_memory shared_;
  global_memory global_;
  std::vector<thread_state> threads_;
  std::vector<wave_state> waves_;
  std::vector<int> runnable_;
  int running_ = -1, alive_ = 0, arrived_ = 0, barriers_ = 0;
  bool says_ = false, said_ = false;  // at the next barrier, and at the last
};

}  // namespace emulation
