// Where it was measured, in words.
#pragma once

#include <filesystem>
#include <string>

namespace once::bench {

// "2 x Intel(R) Xeon(R) ..., 24 GiB, Linux 6.1"
[[nodiscard]] std::string machine_text();
// "ext4 on /dev/vda"
[[nodiscard]] std::string disk_text(const std::filesystem::path& folder);
[[nodiscard]] std::string date_text();
// Where a sync costs nothing, and nothing can be told.
[[nodiscard]] bool in_memory(const std::filesystem::path& folder);

}  // namespace once::bench
