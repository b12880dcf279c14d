// A worker process: started, listened to, and killed at a moment given beforehand.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "load.h"

namespace once::crash {

// Kill so long after the worker has told of `phase` ("": after it was started).
struct Moment {
  std::string phase;
  std::chrono::microseconds delay{};
};

class Victim {
 public:
  // Starts `program` with `arguments`; what it says comes through its file descriptor 3.
  Victim(const std::string& program, const std::vector<std::string>& arguments);
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim();

  // Listens until the moment has come, kills with SIGKILL, and hears the rest of what was said.
  // False if the worker ended by itself.
  [[nodiscard]] bool kill_at(const Moment& moment, const std::function<void(const Message&)>& hear);
  // What the worker was at when it was killed.
  [[nodiscard]] const std::string& phase() const { return phase_; }

 private:
  // False at the end of what is said.
  bool read_some(const std::function<void(const Message&)>& hear);

  pid_t pid_ = -1;
  int pipe_ = -1;
  std::string unfinished_;
  std::string phase_ = "starting";
  std::vector<std::string> phases_;
};

}  // namespace once::crash
