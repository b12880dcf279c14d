#include "container/host_place.h"
#include "container/layout.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "container/host_files.h"
#include "container/superblock.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::container;
using namespace once::testing;

namespace fs = std::filesystem;

TEST_CASE("file systems that others may share are known by name") {
  CHECK(network_file_system(0x6969) == "NFS");
  CHECK(network_file_system(0xff534d42) == "CIFS");
  CHECK(network_file_system(0xffffffffff534d42) == "CIFS");
  CHECK(network_file_system(0xfe534d42) == "SMB2");
  CHECK(network_file_system(0x517b) == "SMB");
  CHECK(network_file_system(0x65735546) == "FUSE");
  CHECK(network_file_system(0x01021997) == "9P");
  CHECK(network_file_system(0x00c36400) == "Ceph");
  CHECK(network_file_system(0x73757245) == "Coda");
  CHECK(network_file_system(0x5346414f) == "AFS");
  CHECK(network_file_system(0x7461636f) == "OCFS2");
  CHECK(network_file_system(0x01161970) == "GFS2");
  CHECK(network_file_system(0x0bd00bd0) == "Lustre");
}

TEST_CASE("local file systems are fine") {
  const std::uint64_t local[] = {0xef53,     0x58465342, 0x9123683e, 0x01021994, 0x2fc12fc1,
                                 0x794c7630, 0x4d44,     0,          0x858458f6};
  for (const std::uint64_t type : local) {
    CAPTURE(type);
    CHECK(network_file_system(type).empty());
  }
  const TemporaryDirectory directory;
  value_of(check_file_system(directory.path(), directory.path()));
}

TEST_CASE_FIXTURE(HostPlace, "a network file system is refused, unless it is asked for") {
  const HostFileOptions asked{.allow_network_file_system = true};
  constexpr std::uint64_t nfs = 0x6969;
  const auto check_refused = [&](const Opened& opened) {
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::unsupported);
    for (const char* part : {"NFS", "Options::allow_network_file_system",
                             "once --allow-network-file-system", path.c_str()}) {
      CAPTURE(part);
      CHECK(says(opened.error(), part));
    }
  };
  {
    const PretendedFileSystem pretended(nfs);
    check_refused(open());
    CHECK(fs::is_empty(directory.path()));
    auto made = value_of(open(asked));
    value_of(fill(*made));
    value_of(made->publish());
  }
  const std::string before = read_file(path);
  {
    const PretendedFileSystem pretended(nfs);
    check_refused(open());
    check_refused(open_to_read());
    CHECK(read_file(path) == before);
    CHECK(value_of(open_to_read(asked))->pins().held(0).error().code == ErrorCode::unsupported);
    value_of(open(asked));
  }
  // Nothing is pretended any more.
  value_of(open_to_read());
  value_of(open());
}

TEST_CASE("links lead to a name, whether something has it or not") {
  const TemporaryDirectory directory;
  const std::string end = directory.file("end");
  fs::create_directory(directory.file("below"));
  fs::create_symlink(end, directory.file("one"));
  fs::create_symlink("one", directory.file("two"));
  fs::create_symlink("../two", directory.file("below/three"));
  CHECK(value_of(follow_links(end)) == end);
  CHECK(value_of(follow_links(directory.file("one"))) == end);
  CHECK(value_of(follow_links(directory.file("two"))) == end);
  CHECK(value_of(follow_links(directory.file("below/three"))) == end);
  write_file(end, "there");
  CHECK(value_of(follow_links(directory.file("below/three"))) == end);
  CHECK(value_of(follow_links("just-a-name")) == "just-a-name");
}

TEST_CASE("links that lead in a circle are an error") {
  const TemporaryDirectory directory;
  fs::create_symlink("b", directory.file("a"));
  fs::create_symlink("a", directory.file("b"));
  CHECK(error_of(follow_links(directory.file("a"))) == ErrorCode::store_missing);
}

TEST_CASE("the directory of a name") {
  CHECK(directory_of("x") == ".");
  CHECK(directory_of("/x") == "/");
  CHECK(directory_of("a/b/x") == "a/b");
}

TEST_CASE("a file by its first bytes") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("file");
  const std::string magic(container_magic);
  const auto contents = [&](const std::string& bytes) {
    write_file(path, bytes);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const auto found = contents_of(file, path);
    ::close(file);
    return value_of(found);
  };
  CHECK(contents("") == Contents::blank);
  CHECK(contents(std::string(3, '\0')) == Contents::blank);
  CHECK(contents(std::string(100'000, '\0')) == Contents::blank);
  CHECK(contents(encode(Superblock{})) == Contents::container);
  // What comes after the superblocks may be anything, where a creation was cut off.
  CHECK(contents(std::string(8192, '\0') + "a journal") == Contents::blank);
  CHECK(contents(magic) == Contents::container);
  CHECK(contents(magic + std::string(20'000, 'x')) == Contents::container);
  CHECK(contents(std::string(4096, '\0') + magic) == Contents::container);
  CHECK(contents(std::string(4096, 'x') + magic) == Contents::container);
  CHECK(contents("dear") == Contents::something_else);
  CHECK(contents(magic.substr(0, 7)) == Contents::something_else);
  CHECK(contents(std::string(4096, '\0') + "x") == Contents::something_else);
  // The end of a superblock whose beginning was torn off.
  CHECK(contents(std::string(4088, '\0') + "checksum") == Contents::blank);
  CHECK(contents("x" + std::string(20'000, '\0')) == Contents::something_else);
}

TEST_CASE("a name is given if it is free, and never taken from somebody") {
  const TemporaryDirectory directory;
  const std::string from = directory.file("from");
  const std::string to = directory.file("to");
  for (const auto move : {&rename_to_free_name, &link_to_free_name}) {
    fs::remove(to);
    write_file(from, "ours");
    CHECK(move(from, to) == 0);
    CHECK(read_file(to) == "ours");
    CHECK_FALSE(fs::exists(from));

    write_file(from, "others");
    CHECK(move(from, to) == EEXIST);
    CHECK(read_file(to) == "ours");
    CHECK(read_file(from) == "others");
    fs::remove(to);
    fs::create_symlink("nowhere", to);
    CHECK(move(from, to) == EEXIST);
    fs::remove(from);
    fs::remove(to);
    CHECK(move(from, to) == ENOENT);
  }
}
