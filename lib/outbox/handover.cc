#include "outbox/handover.h"

#include <system_error>
#include <utility>

namespace once::outbox {

Handover::Handover(std::size_t most, Publish publish, std::function<void()> came_back)
    : most_(most), publish_(std::move(publish)), came_back_(std::move(came_back)) {}

Handover::~Handover() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    over_ = true;
    begun_.notify_all();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::size_t Handover::room() const {
  MutexLock lock(mutex_);
  return most_ - out_;
}

std::size_t Handover::out() const {
  MutexLock lock(mutex_);
  return out_;
}

void Handover::begin(Event event) {
  {
    MutexLock lock(mutex_);
    ++out_;
    if (idle_ <= waiting_.size()) {
      try {
        threads_.emplace_back([this] { run(); });
        ++idle_;
      } catch (const std::system_error&) {
        // The caller's thread is one as well.
      }
    }
    if (idle_ > waiting_.size()) {
      waiting_.push_back(std::move(event));
      begun_.notify_one();
      return;
    }
  }
  publish(std::move(event));
}

std::vector<Handover::Back> Handover::take() {
  MutexLock lock(mutex_);
  out_ -= back_.size();
  return std::exchange(back_, {});
}

void Handover::wait_for_all() {
  MutexLock lock(mutex_);
  while (back_.size() < out_) back_changed_.wait(mutex_);
}

void Handover::wait(const Clock& clock, Duration deadline) {
  MutexLock lock(mutex_);
  while (back_.empty() && clock.since_boot() < deadline) {
    back_changed_.wait_until(mutex_, clock, deadline);
  }
}

void Handover::publish(Event event) {
  auto answer = publish_(event);
  {
    MutexLock lock(mutex_);
    back_.push_back({.event = std::move(event), .answer = std::move(answer)});
    back_changed_.notify_all();
  }
  came_back_();
}

void Handover::run() {
  MutexLock lock(mutex_);
  while (true) {
    while (waiting_.empty() && !over_) begun_.wait(mutex_);
    if (waiting_.empty()) return;
    Event event = std::move(waiting_.front());
    waiting_.pop_front();
    --idle_;
    mutex_.unlock();
    publish(std::move(event));
    mutex_.lock();
    ++idle_;
  }
}

}  // namespace once::outbox
