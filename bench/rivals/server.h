// Server: a process that works for a rival. Started on a Unix socket in the scratch folder, and
// ended again, whatever happens: by the destructor, and by the kernel when the benchmark is killed.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace once::bench {

struct RunAs {
  uid_t user = 0;
  gid_t group = 0;
};
// Who servers run as that refuse to run as root: the user `name` when this process is root (throws
// Unable when there is no such user), else whoever this is.
[[nodiscard]] RunAs unprivileged(const std::string& name);

// Runs a command to its end, its output into `log`. Throws Unable when it fails.
void run_command(const std::vector<std::string>& command, const RunAs& as,
                 const std::filesystem::path& log);

class Server {
 public:
  // What it prints goes to `log`. Its syncs are counted in `syncs`, unless empty (usage/syncs.cc).
  Server(const std::vector<std::string>& command, const RunAs& as, const std::filesystem::path& log,
         const std::filesystem::path& syncs, int stop_signal);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // asks it to end, waits, and kills it when it does not

  [[nodiscard]] pid_t process() const { return process_; }
  [[nodiscard]] bool ended();

 private:
  pid_t process_;
  int stop_signal_;
};

// The path of a program: the first that is there of `folders` and the folders of PATH. Throws
// Unable with the package it is in.
[[nodiscard]] std::string find_program(const std::string& name,
                                       const std::vector<std::filesystem::path>& folders,
                                       const std::string& package);

// Throws Unable when the path is too long to be a socket's.
void check_socket_path(const std::filesystem::path& path);

}  // namespace once::bench
