// A forked child for a test, which it talks to a byte at a time.
//
//   Child child([](Child& me) { hold_the_lock(); me.tell(); me.wait(); return 0; });
//   child.wait();  // until it holds the lock
//   child.tell();  // lets go
//   CHECK(child.end() == 0);
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace once::testing {

class Child {
 public:
  // `body` gives the exit status. No exception may leave it, and doctest is not for it.
  explicit Child(const std::function<int(Child&)>& body) {
    int to_child[2];
    int to_parent[2];
    REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(to_parent, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    const bool is_child = pid_ == 0;
    in_ = is_child ? to_child[0] : to_parent[0];
    out_ = is_child ? to_parent[1] : to_child[1];
    ::close(is_child ? to_child[1] : to_parent[1]);
    ::close(is_child ? to_parent[0] : to_child[0]);
    if (is_child) ::_exit(body(*this));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!ended_) {
      ::kill(pid_, SIGKILL);
      (void)end();
    }
    ::close(in_);
    ::close(out_);
  }

  void tell() const { (void)!::write(out_, "x", 1); }
  // False when the other one has ended.
  bool wait() const {
    char byte = 0;
    return ::read(in_, &byte, 1) == 1;
  }
  void kill(int signal) const { ::kill(pid_, signal); }
  // The exit status, or the signal that ended it as a negative number.
  int end() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) return -1000;
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  bool ended_ = false;
};

}  // namespace once::testing
