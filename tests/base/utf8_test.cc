#include "base/utf8.h"

#include <doctest/doctest.h>

#include <string>

using namespace once;

TEST_CASE("text is cut before the character that does not fit") {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82z";  // of 1, 2, 3, 4 and 1 bytes
  const std::size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (std::size_t most = 0; most <= text.size(); ++most) {
    CHECK(cut_utf8(text, most) == text.substr(0, ends[most]));
  }
  CHECK(cut_utf8(text, 100) == text);
  CHECK(cut_utf8("", 0).empty());
}

TEST_CASE("what is no text is cut anywhere") {
  CHECK(cut_utf8("\xff\xff\xff", 2) == "\xff\xff");
  CHECK(cut_utf8("\x80\x80\x80\x80\x80", 4).size() == 4);
  CHECK(cut_utf8("a\xe2x", 2) == "a\xe2");  // a character that was broken already
}
