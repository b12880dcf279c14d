#include "base/coding.h"

#include <doctest/doctest.h>

using namespace once;

TEST_CASE("what is written is read back, in the same order") {
  Bytes out;
  Writer writer(out);
  writer.u8(0xab);
  writer.u32(0x01020304);
  writer.u64(0x0102030405060708);
  writer.i64(-2);
  writer.string(Bytes("a\0b", 3));
  CHECK(out.substr(1, 4) == "\x04\x03\x02\x01");  // little-endian

  Reader reader(out);
  CHECK(reader.u8() == 0xab);
  CHECK(reader.u32() == 0x01020304);
  CHECK(reader.u64() == 0x0102030405060708);
  CHECK(reader.i64() == -2);
  CHECK(reader.string() == ByteView("a\0b", 3));
  CHECK(reader.done());
}

TEST_CASE("reading past the end gives zeros and stays failed") {
  Reader reader(
      ByteView("\x05\x00\x00\x00"
               "abc",
               7));
  CHECK(reader.string().empty());
  CHECK_FALSE(reader.ok());
  CHECK(reader.u8() == 0);
  CHECK_FALSE(reader.done());
}

TEST_CASE("left-over bytes are not done") {
  Reader reader("ab");
  reader.u8();
  CHECK(reader.ok());
  CHECK_FALSE(reader.done());
  CHECK(reader.left() == 1);
}
