#include "container/random_program.h"

#include <array>
#include <iterator>

namespace once::testing {

using Kind = Op::Kind;

namespace {

// How RocksDB names things, in two directories of which one lies in the other.
constexpr const char* files[] = {
    "/db/000001.log", "/db/000002.log", "/db/000003.log",   "/db/MANIFEST-000001",
    "/db/CURRENT",    "/db/000004.sst", "/db/000005.sst",   "/db/in/000001.log",
    "/db/in/x.sst",   "/db/in/y.blob",  "/no/such/one.sst", "/top.dbtmp",
};
constexpr const char* directories[] = {"/db",       "/db/in",      "/copy",
                                       "/copy.tmp", "/db/in/deep", "/no/such"};

// What is frequent in a store is frequent here.
constexpr Kind kinds[] = {
    Kind::create,
    Kind::create,
    Kind::create,
    Kind::create,
    Kind::reopen,

    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::append,
    Kind::sync,
    Kind::sync,
    Kind::sync,
    Kind::sync,
    Kind::sync,
    Kind::close,
    Kind::close,
    Kind::drop,
    Kind::allocate,
    Kind::cut,
    Kind::make_directory,
    Kind::make_directory,
    Kind::make_directory_if_missing,
    Kind::make_directory_if_missing,
    Kind::remove_directory,
    Kind::rename,
    Kind::rename,
    Kind::rename,
    Kind::link,
    Kind::remove,
    Kind::remove,
    Kind::remove,
    Kind::sync_directory,
    Kind::sync_directory,
    Kind::list,
    Kind::exists,
    Kind::size,
    Kind::size,
    Kind::read,
    Kind::read,
    Kind::read_at,
    Kind::read_at,
    Kind::is_directory,
    Kind::give_back,
    Kind::compact,
    Kind::restart,
};

std::uint64_t length_from(std::uint8_t byte) {
  // Mostly small; now and then so large that it needs extents of its own.
  if (byte < 160) return byte;
  if (byte < 240) return std::uint64_t{byte} * 37;
  return std::uint64_t{byte - 239u} * 9000;
}

}  // namespace

std::optional<Op> ProgramReader::next() {
  if (at_end()) return std::nullopt;
  Op op;
  op.kind = kinds[byte() % std::size(kinds)];
  const std::uint8_t where = byte();
  const auto file = [](std::uint8_t which) { return files[which % std::size(files)]; };
  const auto directory = [](std::uint8_t which) {
    return directories[which % std::size(directories)];
  };
  op.slot = where % program_slots;
  switch (op.kind) {
    case Kind::create:
    case Kind::reopen:
      op.path = file(where);
      break;
    case Kind::append:
    case Kind::cut:
      op.length = length_from(byte());
      break;
    case Kind::allocate:
      op.offset = length_from(byte());
      op.length = length_from(byte()) + 1;
      break;
    case Kind::make_directory:
    case Kind::make_directory_if_missing:
    case Kind::remove_directory:
    case Kind::sync_directory:
    case Kind::list:
      op.path = directory(where);
      break;
    case Kind::rename:
    case Kind::link: {
      const std::uint8_t to = byte();
      const bool whole = op.kind == Kind::rename && where >= 200;
      op.path = whole ? directory(where) : file(where);
      op.to = to >= 240 ? directory(to) : whole ? directory(to) : file(to);
      break;
    }
    case Kind::remove:
    case Kind::exists:
    case Kind::is_directory:
      op.path = where >= 230 ? directory(where) : file(where);
      break;
    case Kind::size:
    case Kind::read:
      op.path = file(where);
      break;
    case Kind::read_at:
      op.path = file(where);
      op.offset = length_from(byte());
      op.length = length_from(byte()) + 1;
      break;
    default:
      break;
  }
  return op;
}

}  // namespace once::testing
