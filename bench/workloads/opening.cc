#include "workloads/workload.h"

namespace once::bench {

void add_opening(std::vector<Workload>&) {}

}  // namespace once::bench
