// The publisher that appends events to a file, a CloudEvent on each line.
//
// Invariant: a line that is whole is an event that was handed over; one that is not (the disk was
// full, the machine went down) is not JSON, stands on a line of its own, and its event comes again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "once/outbox.h"
#include "outbox/cloud_event.h"

namespace once {
namespace {

std::unexpected<Error> failed(std::string_view doing, const std::string& path) {
  return std::unexpected(system_error(errno, doing, path));
}

class JsonLinesPublisher final : public Publisher {
 public:
  JsonLinesPublisher(std::string path, int descriptor, bool owned, const JsonLinesOptions& options)
      : path_(std::move(path)),
        descriptor_(descriptor),
        owned_(owned),
        sync_(options.sync && owned),
        source_(options.source) {}
  ~JsonLinesPublisher() override {
    if (owned_) ::close(descriptor_);
  }

  // Ends a line that was begun and not ended, by whoever wrote before.
  Result<void> begin() {
    struct stat status{};
    if (!owned_ || ::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return {};
    char last = '\n';
    if (status.st_size > 0 && ::pread(descriptor_, &last, 1, status.st_size - 1) != 1) {
      return failed("reading the end of", path_);
    }
    torn_ = last != '\n';
    return {};
  }

  Result<void> publish(const Event& event) override {
    std::string line = torn_ ? "\n" : "";
    line += outbox::to_json(event, source_);
    line += '\n';
    std::string_view left = line;
    while (!left.empty()) {
      const ssize_t written = ::write(descriptor_, left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        torn_ = torn_ || left.size() != line.size();
        return failed("writing to", path_);
      }
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    torn_ = false;
    return {};
  }

  Result<void> flush() override {
    if (!sync_ || ::fdatasync(descriptor_) == 0 || errno == EINVAL || errno == EROFS) return {};
    return failed("syncing", path_);
  }

 private:
  const std::string path_;
  const int descriptor_;
  const bool owned_;
  const bool sync_;
  const std::string source_;
  bool torn_ = false;
};

}  // namespace

Result<std::unique_ptr<Publisher>> json_lines_publisher(const std::string& path,
                                                        const JsonLinesOptions& options) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_argument,
                "events need a file to be written to: give its path, or - for the standard output");
  }
  if (path == "-") {
    return std::make_unique<JsonLinesPublisher>("the standard output", STDOUT_FILENO, false,
                                                options);
  }
  // For reading too: the end of what is there is looked at.
  int descriptor = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  // A pipe with a name must not be its own reader.
  struct stat status{};
  if (descriptor >= 0 && ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode)) {
    ::close(descriptor);
    descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  }
  if (descriptor < 0) return failed("opening", path);
  auto publisher = std::make_unique<JsonLinesPublisher>(path, descriptor, true, options);
  if (auto begun = publisher->begin(); !begun) return pass(begun);
  if (options.sync && S_ISREG(status.st_mode)) {
    if (auto synced = sync_parent(path); !synced) return pass(synced);
  }
  return publisher;
}

}  // namespace once
