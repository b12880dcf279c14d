#include "container/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "container/host_holder.h"
#include "container/host_locks.h"
#include "container/host_place.h"
#include "container/layout.h"

namespace once::container {

HostFile::HostFile(HeldFile file, std::string path, HostAccess access)
    : path_(std::move(path)),
      generation_(fork_generation()),
      file_(std::move(file)),
      device_(file_.get(), path_, access),
      pins_(device_, file_.get()) {}

Result<void> HostFile::publish() {
  if (auto may = device_.allowed(HostAccess::write); !may) return may;
  if (!empty_) return {};
  if (!beside_.empty()) {
    if (auto named = blank_ ? replace_blank() : take_name(); !named) return named;
    beside_.clear();
    blank_.reset();
  }
  empty_ = false;
  return sync_directory(directory_of(name_));
}

Result<void> HostFile::take_name() {
  if (!is_in_place(file_.get(), beside_)) {
    return fail(ErrorCode::store_locked,
                "somebody has moved or removed {} while the store was being made there; try again",
                beside_);
  }
  const int failed = rename_to_free_name(beside_, name_);
  if (failed == 0) return {};
  if (failed != EEXIST) return std::unexpected(system_error(failed, "making", name_));
  struct stat status{};
  const bool maybe_store = ::stat(name_.c_str(), &status) != 0 || S_ISREG(status.st_mode);
  return fail(maybe_store ? ErrorCode::store_locked : ErrorCode::not_a_store,
              "something has appeared at {} while a store was being made for that place; it was "
              "left as it is; look at it, and try again",
              name_);
}

Result<void> HostFile::replace_blank() {
  struct stat status{};
  if (!is_in_place(file_.get(), beside_) || !is_in_place(blank_->file.get(), name_) ||
      ::fstat(blank_->file.get(), &status) != 0 || status.st_size != 0) {
    return fail(ErrorCode::store_locked,
                "somebody has changed {} while a store was being made in place of the empty file "
                "there; it was left as it is; look at it, and try again",
                name_);
  }
  if (::rename(beside_.c_str(), name_.c_str()) == 0) return {};
  return std::unexpected(system_error(errno, "making", name_));
}

void HostFile::unlock() {
  // Under the lock still: whoever waits for it finds nothing in its place, and makes its own.
  if (!beside_.empty() && generation_ == fork_generation() && is_in_place(file_.get(), beside_)) {
    (void)::unlink(beside_.c_str());
  }
  beside_.clear();
  file_.close();
  claim_.reset();
  blank_.reset();
  pinned_.reset();
}

std::uint32_t HostFile::published_place() {
  char bytes[published_place_bytes];
  if (!device_.read(published_place_offset, sizeof bytes, bytes)) return pin_of_lost;
  return decode_published_place({bytes, sizeof bytes});
}

Result<void> HostFile::repin() {
  if (auto may = device_.allowed(HostAccess::read); !may) return may;
  std::optional<std::uint32_t> taken = pinned_;
  for (;;) {
    const std::uint32_t place = published_place();
    // Still published after it was taken: the writer sees that it is held before it lets anything
    // go that is freed from now on.
    if (taken == place) break;
    auto locked = try_lock_shared(file_.get(), bytes_of_place(place), path_);
    if (!locked) return pass(locked);
    if (!*locked) {
      return fail(ErrorCode::store_locked,
                  "another program has locked {} in a way that Once does not; end that program",
                  path_);
    }
    if (taken && taken != pinned_) once::unlock(file_.get(), bytes_of_place(*taken));
    taken = place;
  }
  if (pinned_ && pinned_ != taken) once::unlock(file_.get(), bytes_of_place(*pinned_));
  pinned_ = taken;
  return {};
}

Result<void> HostFile::HostPins::check(std::uint32_t slot) const {
  if (auto may = device_.allowed(HostAccess::write); !may) return may;
  if (slot < pin_slots) return {};
  return fail(ErrorCode::invalid_argument, "there is no place {} to pin; the last one is {}", slot,
              pin_slots - 1);
}

Result<bool> HostFile::HostPins::held(std::uint32_t slot) {
  if (auto checked = check(slot); !checked) return pass(checked);
  return is_locked(file_, bytes_of_place(slot), device_.name());
}

Result<void> HostFile::HostPins::publish(std::uint32_t slot) {
  if (auto checked = check(slot); !checked) return checked;
  const MutexLock lock(mutex_);
  place_ = slot;
  const auto page = has_page();
  if (!page) return std::unexpected(page.error());
  // Before that there is nothing to read for anybody; announce() writes it then.
  if (!*page) return {};
  if (!announced_) (void)write_holder();
  return write_place();
}

Result<void> HostFile::HostPins::announce() {
  if (auto checked = check(0); !checked) return checked;
  const MutexLock lock(mutex_);
  const auto page = has_page();
  if (!page) return std::unexpected(page.error());
  if (!*page) return {};
  if (auto written = write_holder(); !written) return written;
  return place_ ? write_place() : Result<void>{};
}

// In a file that ends before or with the page it would be taken for a part of the container.
Result<bool> HostFile::HostPins::has_page() {
  const auto size = device_.size();
  if (!size) return std::unexpected(size.error());
  return *size > first_block_offset;
}

Result<void> HostFile::HostPins::write_holder() {
  auto written = device_.write(holder_offset, encode_holder_text(describe_this_process()));
  announced_ = written.has_value();
  return written;
}

Result<void> HostFile::HostPins::write_place() {
  return device_.write(published_place_offset, encode_published_place(place_.value_or(0)));
}

}  // namespace once::container
