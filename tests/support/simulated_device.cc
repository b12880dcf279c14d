#include "support/simulated_device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace once::testing {

using Effect = Fault::Effect;

std::string_view to_string(CallKind kind) {
  switch (kind) {
    case CallKind::read:
      return "read";
    case CallKind::write:
      return "write";
    case CallKind::sync:
      return "sync";
    case CallKind::resize:
      return "resize";
    case CallKind::punch:
      return "punch";
    case CallKind::allocate:
      return "allocate";
    case CallKind::query:
      return "query";
  }
  return "?";
}

SimulatedDevice::SimulatedDevice(DiskImage image, std::string name)
    : name_(std::move(name)), shown_(image), moment_{.durable = std::move(image)} {}

SimulatedDevice::SimulatedDevice(Moment moment, DiskImage shown, std::string name)
    : name_(std::move(name)), shown_(std::move(shown)), moment_(std::move(moment)) {}

SimulatedDevice::Call SimulatedDevice::begin(CallKind kind, std::uint64_t offset,
                                             std::uint64_t length) {
  Call call{.kind = kind};
  ++calls_.by_kind[static_cast<std::size_t>(kind)];
  ++calls_.total;
  if (keeps_log_) {
    call.text = fmt::format("{:>6} {} {}+{}", calls_.total, to_string(kind), offset, length);
  }
  for (Armed& armed : faults_) {
    if (armed.fault.kind && *armed.fault.kind != kind) continue;
    if (armed.left > 0 && --armed.left > 0) continue;
    if (!call.fault) call.fault = armed.fault;
  }
  std::erase_if(faults_,
                [](const Armed& armed) { return armed.left == 0 && !armed.fault.for_ever; });
  if (call.fault) {
    ++struck_.by_kind[static_cast<std::size_t>(kind)];
    ++struck_.total;
  }
  return call;
}

void SimulatedDevice::end(const Call& call, std::string_view answer) {
  const bool looks = call.kind == CallKind::read || call.kind == CallKind::query;
  if (keeps_moments_ && !looks) moments_.push_back({calls_.total, moment_});
  if (keeps_log_) log_.push_back(fmt::format("{}: {}", call.text, answer));
}

std::unexpected<Error> SimulatedDevice::failed(const Call& call) {
  const bool may_lack_space = call.kind == CallKind::write || call.kind == CallKind::resize ||
                              call.kind == CallKind::allocate;
  const ErrorCode code = may_lack_space ? call.fault->code : ErrorCode::io;
  end(call, call.fault->effect == Effect::partly ? "failed, done in part" : "failed");
  return fail(code, "{}: {} {} (injected)", name_, to_string(call.kind),
              code == ErrorCode::no_space ? "found no space" : "failed");
}

std::unexpected<Error> SimulatedDevice::full(const Call& call) {
  end(call, "no space");
  return fail(ErrorCode::no_space, "{}: the disk is full", name_);
}

std::unexpected<Error> SimulatedDevice::misused(const Call& call, const std::string& how) {
  end(call, "misuse");
  const std::string text = fmt::format("{}: {} {}", name_, to_string(call.kind), how);
  if (misuse_) {
    misuse_(text);
  } else {
    std::fprintf(stderr, "misuse of the device: %s\n", text.c_str());
    for (const std::string& line : log_) std::fprintf(stderr, "%s\n", line.c_str());
    std::abort();
  }
  return fail(ErrorCode::invalid_argument, "{}", text);
}

bool SimulatedDevice::has_space(std::uint64_t more) const {
  return more == 0 || shown_.space() + more <= capacity_;
}

void SimulatedDevice::change_bytes(std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  shown_.write(offset, bytes);
  const std::uint64_t begin = offset / sector_bytes * sector_bytes;
  const std::uint64_t end =
      (offset + bytes.size() + sector_bytes - 1) / sector_bytes * sector_bytes;
  const auto length = static_cast<std::size_t>(std::min(end, shown_.size()) - begin);
  moment_.pending.push_back(
      {.kind = Change::Kind::write,
       .offset = offset,
       .length = bytes.size(),
       .sectors_at = begin,
       .sectors = std::make_shared<const std::string>(shown_.bytes(begin, length))});
}

void SimulatedDevice::change(Change::Kind kind, std::uint64_t offset, std::uint64_t length) {
  switch (kind) {
    case Change::Kind::resize:
      shown_.resize(offset);
      break;
    case Change::Kind::punch:
      shown_.punch(offset, length);
      break;
    case Change::Kind::allocate:
      shown_.allocate(offset, length);
      break;
    case Change::Kind::write:
      std::abort();  // change_bytes() has those
  }
  moment_.pending.push_back({.kind = kind, .offset = offset, .length = length});
}

Result<void> SimulatedDevice::read(std::uint64_t offset, std::size_t length, char* buffer) {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::read, offset, length);
  if (call.fault) {
    // Nobody may use what a failed read has left in the buffer.
    if (length > 0) std::memset(buffer, 0xA5, length);
    if (call.fault->effect == Effect::partly && offset + length / 2 <= shown_.size()) {
      shown_.read(offset, length / 2, buffer);
    }
    return failed(call);
  }
  if (offset > shown_.size() || length > shown_.size() - offset) {
    end(call, "past the end");
    return fail(ErrorCode::damaged, "{} ends at {}, and bytes {} to {} are asked for", name_,
                shown_.size(), offset, offset + length);
  }
  shown_.read(offset, length, buffer);
  end(call, "ok");
  return {};
}

Result<void> SimulatedDevice::write(std::uint64_t offset, std::string_view bytes) {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::write, offset, bytes.size());
  if (offset > shown_.size() || bytes.size() > shown_.size() - offset) {
    return misused(call, fmt::format("of {} bytes at {}, which is outside of its {} bytes",
                                     bytes.size(), offset, shown_.size()));
  }
  if (call.fault) {
    switch (call.fault->effect) {
      case Effect::none_done:
        return failed(call);
      case Effect::partly:
        change_bytes(offset, bytes.substr(0, bytes.size() / 2));
        return failed(call);
      case Effect::lost:
        end(call, "lost");
        return {};
      case Effect::misdirected:
        break;
    }
    const std::uint64_t to = std::min(call.fault->to, shown_.size());
    change_bytes(to, bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(
                                         bytes.size(), shown_.size() - to))));
    end(call, fmt::format("misdirected to {}", to));
    return {};
  }
  if (!has_space(shown_.space_missing(offset, bytes.size()))) return full(call);
  change_bytes(offset, bytes);
  end(call, "ok");
  return {};
}

Result<void> SimulatedDevice::sync() {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::sync, 0, 0);
  if (call.fault) {
    for (Change& change : moment_.pending) change.adrift = true;
    return failed(call);
  }
  moment_.settle();
  end(call, "ok");
  return {};
}

Result<void> SimulatedDevice::resize(std::uint64_t bytes) {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::resize, bytes, 0);
  if (call.fault) {
    // Full means that nothing was changed; any other failure may come too late.
    if (call.fault->effect == Effect::partly && call.fault->code != ErrorCode::no_space) {
      change(Change::Kind::resize, bytes, 0);
    }
    return failed(call);
  }
  const auto pages = [](std::uint64_t size) { return (size + page_bytes - 1) / page_bytes; };
  if (pages(bytes) > pages(shown_.size()) &&
      !has_space((pages(bytes) - pages(shown_.size())) * page_bytes)) {
    return full(call);
  }
  change(Change::Kind::resize, bytes, 0);
  end(call, "ok");
  return {};
}

Result<void> SimulatedDevice::punch(std::uint64_t offset, std::uint64_t length) {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::punch, offset, length);
  if (call.fault) {
    if (call.fault->effect == Effect::partly) change(Change::Kind::punch, offset, length);
    return failed(call);
  }
  change(Change::Kind::punch, offset, length);
  end(call, "ok");
  return {};
}

Result<void> SimulatedDevice::allocate(std::uint64_t offset, std::uint64_t length) {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::allocate, offset, length);
  if (offset > shown_.size() || length > shown_.size() - offset) {
    return misused(call, fmt::format("of {} bytes at {}, which is outside of its {} bytes", length,
                                     offset, shown_.size()));
  }
  if (call.fault) {
    if (call.fault->effect == Effect::partly && has_space(shown_.space_missing(offset, length))) {
      change(Change::Kind::allocate, offset, length / 2);
    }
    return failed(call);
  }
  if (!has_space(shown_.space_missing(offset, length))) return full(call);
  change(Change::Kind::allocate, offset, length);
  end(call, "ok");
  return {};
}

Result<std::uint64_t> SimulatedDevice::size() {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::query, 0, 0);
  if (call.fault) return failed(call);
  end(call, "ok");
  return shown_.size();
}

Result<std::uint64_t> SimulatedDevice::space_left() {
  MutexLock lock(mutex_);
  const Call call = begin(CallKind::query, 0, 0);
  if (call.fault) return failed(call);
  end(call, "ok");
  const std::uint64_t used = shown_.space();
  return used < capacity_ ? capacity_ - used : 0;
}

Moment SimulatedDevice::moment() const {
  MutexLock lock(mutex_);
  return moment_;
}

DiskImage SimulatedDevice::image() const {
  MutexLock lock(mutex_);
  return shown_;
}

void SimulatedDevice::keep_moments() {
  MutexLock lock(mutex_);
  keeps_moments_ = true;
  moments_.clear();
  moments_.push_back({calls_.total, moment_});
}

std::vector<KeptMoment> SimulatedDevice::moments() const {
  MutexLock lock(mutex_);
  return moments_;
}

void SimulatedDevice::inject(const Fault& fault) {
  MutexLock lock(mutex_);
  faults_.push_back({.fault = fault, .left = std::max<std::uint64_t>(fault.nth, 1)});
  const bool of_writes = fault.effect == Effect::lost || fault.effect == Effect::misdirected;
  // Only writes can be lost or go astray.
  if (of_writes) faults_.back().fault.kind = CallKind::write;
}

void SimulatedDevice::heal() {
  MutexLock lock(mutex_);
  faults_.clear();
}

CallCounts SimulatedDevice::struck() const {
  MutexLock lock(mutex_);
  return struck_;
}

CallCounts SimulatedDevice::calls() const {
  MutexLock lock(mutex_);
  return calls_;
}

void SimulatedDevice::set_capacity(std::uint64_t bytes) {
  MutexLock lock(mutex_);
  capacity_ = bytes;
}

void SimulatedDevice::rot(std::uint64_t offset, std::uint8_t mask) {
  MutexLock lock(mutex_);
  if (offset < shown_.size()) shown_.flip(offset, mask);
  if (offset < moment_.durable.size()) moment_.durable.flip(offset, mask);
}

void SimulatedDevice::keep_log() {
  MutexLock lock(mutex_);
  keeps_log_ = true;
}

std::string SimulatedDevice::log(std::size_t lines) const {
  MutexLock lock(mutex_);
  std::string text;
  for (std::size_t i = log_.size() - std::min(lines, log_.size()); i < log_.size(); ++i) {
    text += log_[i] + "\n";
  }
  return text;
}

void SimulatedDevice::on_misuse(std::function<void(const std::string&)> handler) {
  MutexLock lock(mutex_);
  misuse_ = std::move(handler);
}

}  // namespace once::testing
