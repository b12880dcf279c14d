// One thread waits for one signal of another, which is all that is woken: no mutex that the woken
// one would find still taken, and sleep on again.
//
//   WakeSignal done;        // by the one who waits
//   done.wait();
//   done.send();            // by the other, once
//
// The one who waits may destroy it as soon as wait() has returned, send() having returned or not:
// POSIX lets a semaphore be destroyed when nobody waits for it, and glibc's sem_post() (since 2.21)
// touches nothing once it has let the other go on. Neither std::condition_variable nor the waiting
// of std::atomic promise that.
#pragma once

#include <semaphore.h>

#include <cerrno>

namespace once {

class WakeSignal {
 public:
  WakeSignal() { sem_init(&semaphore_, 0, 0); }
  WakeSignal(const WakeSignal&) = delete;
  WakeSignal& operator=(const WakeSignal&) = delete;
  ~WakeSignal() { sem_destroy(&semaphore_); }

  // Returns once send() was called. What was done before that is seen after this.
  void wait() {
    while (sem_wait(&semaphore_) != 0 && errno == EINTR) {
    }
  }
  void send() { sem_post(&semaphore_); }

 private:
  sem_t semaphore_;
};

}  // namespace once
