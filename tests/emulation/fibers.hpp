// Threads of control that take turns: a fiber runs until it leaves, and goes on where it left.
// Knows nothing of GPUs.
#pragma once

#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE > 0
#error "compile with -U_FORTIFY_SOURCE: glibc's checked longjmp refuses to switch stacks"
#endif

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {

/// `count` fibers that all run one body, each on a stack of its own. What a fiber throws comes out
/// of `resume`. Fibers that have not ended are forgotten without destructors.
class fibers {
 public:
  explicit fibers(int count) : all_(static_cast<std::size_t>(count)) {
    stacks_ = static_cast<char*>(mmap(nullptr, all_.size() * pitch, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks_ == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < all_.size(); ++i)  // an overflow must not reach the next stack
      mprotect(stacks_ + i * pitch, guard, PROT_NONE);
  }
  ~fibers() { munmap(stacks_, all_.size() * pitch); }
  fibers(const fibers&) = delete;
  fibers& operator=(const fibers&) = delete;

  /// All fibers begin anew with `body`; they run when resumed.
  void start(std::function<void(int)> body) {
    body_ = std::move(body);
    for (fiber& f : all_) f.state = fresh;
  }
  /// Runs fiber i until it leaves or ends.
  void resume(int i) {
    fiber& f = all_[static_cast<std::size_t>(i)];
    current_ = i;
    switching_to(home_fake_, stack_of(i), stack_bytes);
    if (_setjmp(home_) == 0) {
      if (f.state != fresh) _longjmp(f.here, 1);
      f.state = begun;
      enter_first_time(i);
    }
    switched(home_fake_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }
  /// Called by a running fiber: back to whoever resumed it.
  void leave() {
    fiber& f = all_[static_cast<std::size_t>(current_)];
    switching_to(f.fake, home_stack_, home_bytes_);
    if (_setjmp(f.here) == 0) _longjmp(home_, 1);
    switched(f.fake);
  }
  bool ended(int i) const { return all_[static_cast<std::size_t>(i)].state == over; }

 private:
  static constexpr std::size_t stack_bytes = 256 * 1024, guard = 64 * 1024,
                               pitch = stack_bytes + guard;
  enum progress { fresh, begun, over };
  struct fiber {
    progress state = over;
    std::jmp_buf here;
    ucontext_t start;
    void* fake = nullptr;
  };

  char* stack_of(int i) { return stacks_ + static_cast<std::size_t>(i) * pitch + guard; }

  // A new stack needs ucontext; later switches use _setjmp and _longjmp, which make no system call.
  void enter_first_time(int i) {
    fiber& f = all_[static_cast<std::size_t>(i)];
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = stack_of(i);
    f.start.uc_stack.ss_size = stack_bytes;
    f.start.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&f.start, reinterpret_cast<void (*)()>(&fibers::entry), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
    setcontext(&f.start);
  }
  static void entry(unsigned high, unsigned low) {
    fibers& self = *reinterpret_cast<fibers*>(static_cast<std::uintptr_t>(high) << 32 | low);
    void* none = nullptr;
    self.switched(none);
    const int i = self.current_;
    try {
      self.body_(i);
    } catch (...) {
      self.error_ = std::current_exception();
    }
    self.all_[static_cast<std::size_t>(i)].state = over;
    self.leave();
    std::terminate();  // resumed after its end; to return would end the process as if all were well
  }

  // AddressSanitizer wants to be told of every switch, before and after.
#if defined(__SANITIZE_ADDRESS__)
  void switching_to(void*& fake, const void* stack, std::size_t bytes) {
    __sanitizer_start_switch_fiber(&fake, stack, bytes);
  }
  void switched(void*& fake) {
    const bool in_fiber = &fake != &home_fake_;
    __sanitizer_finish_switch_fiber(fake, in_fiber ? &home_stack_ : nullptr,
                                    in_fiber ? &home_bytes_ : nullptr);
  }
#else
  void switching_to(void*&, const void*, std::size_t) {}
  void switched(void*&) {}
#endif

  std::vector<fiber> all_;
  char* stacks_ = nullptr;
  std::function<void(int)> body_;
  int current_ = -1;
  std::jmp_buf home_;
  std::exception_ptr error_;
  void* home_fake_ = nullptr;
  const void* home_stack_ = nullptr;
  std::size_t home_bytes_ = 0;
};

}  // namespace emulation
