#include "base/wake_signal.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>

using once::WakeSignal;

TEST_CASE("who waits goes on after the signal, and sees what was done before it") {
  WakeSignal signal;
  int done = 0;
  std::jthread other([&] {
    done = 1;
    signal.send();
  });
  signal.wait();
  CHECK(done == 1);
}

TEST_CASE("a signal that came first is not lost") {
  WakeSignal signal;
  signal.send();
  signal.wait();
}

TEST_CASE("who waits may destroy it at once") {
  constexpr int rounds = 20'000;
  std::atomic<WakeSignal*> waiting = nullptr;
  std::jthread other([&] {
    for (int i = 0; i < rounds; ++i) {
      WakeSignal* signal = nullptr;
      while ((signal = waiting.exchange(nullptr)) == nullptr) std::this_thread::yield();
      signal->send();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    const auto signal =
        std::make_unique<WakeSignal>();  // of its own memory, which a sanitizer watches
    waiting = signal.get();
    signal->wait();
  }
}
