#include "container/host_holder.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/file_lock.h"
#include "container/pins.h"
#include "support/child.h"

using namespace once;
using namespace once::container;
using namespace once::testing;

TEST_CASE("the text of a living holder is read as it was written") {
  const std::string bytes = encode_holder_text(describe_this_process());
  CHECK(bytes.size() == holder_text_bytes);
  CHECK(bytes.starts_with("pid " + std::to_string(::getpid()) + " ("));
  CHECK(bytes.back() == '\0');
  CHECK(decode_holder_text(bytes) == describe_this_process());
}

TEST_CASE("commands with strange names, and long ones") {
  const std::string pid = std::to_string(::getpid());
  CHECK(decode_holder_text(encode_holder_text("pid " + pid + " (a) b)")) ==
        "pid " + pid + " (a) b)");
  CHECK(decode_holder_text(encode_holder_text("pid " + pid + " (\x1b[2J\n)")) ==
        "pid " + pid + " (?[2J?)");
  const std::string bytes = encode_holder_text("pid " + pid + " (" + std::string(500, 'x') + ")");
  CHECK(bytes.size() == holder_text_bytes);
  CHECK(decode_holder_text(bytes) == "another process");
}

TEST_CASE("what is no such text is another process") {
  const std::string pid = std::to_string(::getpid());
  const std::string texts[] = {"",
                               std::string(128, '\0'),
                               std::string(128, '\xff'),
                               "pid \n",
                               "pid x (y)\n",
                               "pid 0 (y)\n",
                               "pid -1 (y)\n",
                               "pid 99999999999999 (y)\n",
                               "pid " + pid + "\n",
                               "pid " + pid + " (no end",
                               "pid " + pid + " (no new line)",
                               "pid " + pid + "(y)\n",
                               "pid " + pid + " (\x1b[2J)\n",
                               "PID " + pid + " (y)\n"};
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(decode_holder_text(text) == "another process");
  }
}

TEST_CASE("one that has ended is not named") {
  Child child([](Child&) { return 0; });
  CHECK(child.end() == 0);
  const auto bytes = encode_holder_text("pid " + std::to_string(child.pid()) + " (gone)");
  CHECK(decode_holder_text(bytes) == "another process");
}

TEST_CASE("published places, whole and damaged") {
  for (std::uint32_t slot = 0; slot < pin_slots; ++slot) {
    const std::string bytes = encode_published_place(slot);
    CHECK(bytes.size() == published_place_bytes);
    CHECK(decode_published_place(bytes) == slot);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      CHECK(decode_published_place(damaged) == 0);
    }
  }
  CHECK(decode_published_place(encode_published_place(pin_slots)) == 0);
  CHECK(decode_published_place(encode_published_place(~0U)) == 0);
  CHECK(decode_published_place("") == 0);
  CHECK(decode_published_place(std::string(8, '\0')) == 0);
  CHECK(decode_published_place(encode_published_place(5) + "x") == 0);
}
