#include "command_line.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/coding.h"
#include "base/error.h"
#include "descriptor.h"

namespace once::supervise {

Result<std::vector<std::string>> command_after_dashes() {
  const Descriptor file(::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  ssize_t got = -1;
  while (file && (got = retry([&] { return ::read(file.get(), buffer, sizeof buffer); })) > 0) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  if (got < 0) {
    return fail(ErrorCode::io, "cannot read /proc/self/cmdline: {}", std::strerror(errno));
  }
  // Each argument ends with a NUL.
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    arguments.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  const auto dashes = std::ranges::find(arguments, "--");
  if (dashes == arguments.end() || std::next(dashes) == arguments.end()) {
    return fail(ErrorCode::invalid_argument, "put `--` and the command at the end: ... -- COMMAND");
  }
  return std::vector<std::string>(std::next(dashes), arguments.end());
}

Bytes question_of(const std::vector<std::string>& command) {
  Bytes question;
  Writer writer(question);
  writer.u32(static_cast<std::uint32_t>(command.size()));
  for (const std::string& argument : command) writer.string(argument);
  return question;
}

int shell_code(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int shell_code_not_started(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR ? 127 : 126;
}

}  // namespace once::supervise
