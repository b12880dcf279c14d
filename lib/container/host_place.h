// The place of a host file: what its path leads to, on what kind of file system, and how a file
// gets a name without taking one from another file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "once/error.h"

namespace once::container {

// The name that a path leads to, through all symbolic links, also if nothing is there.
[[nodiscard]] Result<std::string> follow_links(const std::string& path);
// The directory that the name is in.
[[nodiscard]] std::string directory_of(const std::string& name);

// What the file system with this number (statfs(2), f_type) is called if other machines may have
// it mounted, or a program of somebody's stands behind it; "" for all others.
[[nodiscard]] std::string_view network_file_system(std::uint64_t type);
// Errors: unsupported if `there`, a file or a directory, is on one of those. `path` is for
// messages.
[[nodiscard]] Result<void> check_file_system(const std::string& there, const std::string& path);
// While this lives every file of this process counts as being on the file system of that number,
// for tests. One at a time.
class PretendedFileSystem {
 public:
  explicit PretendedFileSystem(std::uint64_t type);
  PretendedFileSystem(const PretendedFileSystem&) = delete;
  PretendedFileSystem& operator=(const PretendedFileSystem&) = delete;
  ~PretendedFileSystem();
};

// What is in a file, by the first sectors of its superblocks: a superblock that a crash has torn
// may lack either end. `blank`: nothing, or zeros.
enum class Contents : std::uint8_t { blank, container, something_else };
[[nodiscard]] Result<Contents> contents_of(int file, const std::string& name);

// Gives a file another name, if nothing has that name. 0, or errno; EEXIST: something has it.
// A file system that cannot do it in one step gets the second one, which for a moment leaves the
// file with both names.
[[nodiscard]] int rename_to_free_name(const std::string& from, const std::string& to);
[[nodiscard]] int link_to_free_name(const std::string& from, const std::string& to);

}  // namespace once::container
