#include "container/host_place.h"

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "container/layout.h"

namespace once::container {
namespace {

// The numbers are those of statfs(2) and of the file systems' own sources; <linux/magic.h> lacks
// many.
constexpr std::pair<std::uint32_t, std::string_view> network_file_systems[] = {
    {0x0000564c, "NCP"},
    {0x00006969, "NFS"},
    {0x0000517b, "SMB"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},
    {0x73757245, "Coda"},
    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},
    {0x01021997, "9P"},
    {0x00c36400, "Ceph"},
    {0x65735546, "FUSE"},
    {0x7461636f, "OCFS2"},
    {0x01161970, "GFS2"},
    {0x0bd00bd0, "Lustre"},
    {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"},
    {0xaad7aaea, "PanFS"},
    {0x786f4256, "VirtualBox's shared folders"},
    {0xbacbacbc, "VMware's shared folders"},
};

constexpr std::uint64_t nothing_pretended = ~std::uint64_t{0};
std::atomic<std::uint64_t> pretended = nothing_pretended;

}  // namespace

PretendedFileSystem::PretendedFileSystem(std::uint64_t type) {
  pretended = type;
}

PretendedFileSystem::~PretendedFileSystem() {
  pretended = nothing_pretended;
}

Result<std::string> follow_links(const std::string& path) {
  std::filesystem::path name = path;
  // As many as the kernel follows.
  for (int links = 0; links <= 40; ++links) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(name, error);
    // No link; and what else is wrong with it, opening will tell.
    if (error) return name.string();
    name = name.parent_path() / target;
  }
  return std::unexpected(system_error(ELOOP, "opening", path));
}

std::string directory_of(const std::string& name) {
  const std::string parent = std::filesystem::path(name).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string_view network_file_system(std::uint64_t type) {
  // Some kernels extend the sign.
  const auto number = static_cast<std::uint32_t>(type);
  const auto* found = std::ranges::find(network_file_systems, number,
                                        &std::pair<std::uint32_t, std::string_view>::first);
  return found == std::end(network_file_systems) ? std::string_view{} : found->second;
}

Result<void> check_file_system(const std::string& there, const std::string& path) {
  struct statfs status{};
  int wrong = 0;
  do {
    wrong = ::statfs(there.c_str(), &status) == 0 ? 0 : errno;
  } while (wrong == EINTR);
  if (wrong != 0) return std::unexpected(system_error(wrong, "opening", path));
  const std::uint64_t type = pretended;
  const auto kind = network_file_system(
      type == nothing_pretended ? static_cast<std::uint64_t>(status.f_type) : type);
  if (kind.empty()) return {};
  return fail(ErrorCode::unsupported,
              "{} is on {}, a file system that others may share or a program serves: locks there "
              "may not keep another machine out, and what was synced may not last, so that a store "
              "can be destroyed; keep it on a local disk, or set "
              "Options::allow_network_file_system (once --allow-network-file-system) if only this "
              "machine uses it",
              path, kind);
}

Result<Contents> contents_of(int file, const std::string& name) {
  std::string head(holder_offset, '\0');
  std::size_t size = 0;
  while (size < head.size()) {
    const ssize_t got =
        ::pread(file, head.data() + size, head.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(system_error(errno, "reading", name));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  head.resize(size);
  bool blank = true;
  for (const std::uint64_t offset : superblock_offsets) {
    const std::string_view copy =
        std::string_view(head).substr(std::min<std::size_t>(offset, size), sector_bytes);
    if (copy.starts_with(container_magic)) return Contents::container;
    blank = blank && std::ranges::all_of(copy, [](char c) { return c == '\0'; });
  }
  return blank ? Contents::blank : Contents::something_else;
}

int rename_to_free_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  const bool is_not_known = errno == EINVAL || errno == ENOSYS;
  return is_not_known ? link_to_free_name(from, to) : errno;
}

int link_to_free_name(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  // Whoever opens the file under its new name removes the old one where this did not come about.
  (void)::unlink(from.c_str());
  return 0;
}

}  // namespace once::container
