#include "common/turn/turn.h"

#include "common/base/log.h"

namespace consilium {

Status Persist(const TurnResult& result, Storage& storage, BlobStore& blobs) {
  for (const BlobWrite& write : result.blob_writes) TRY(blobs.Write(write));
  for (const Digest& root : result.blob_seals) TRY(blobs.Seal(root));
  if (!result.transaction.empty()) TRY(storage.Commit(result.transaction));
  for (const Digest& root : result.blob_drops) {
    // A file too many does no harm.
    if (const Status dropped = blobs.Drop(root); !dropped)
      Log(LogLevel::kWarning, "blob_not_dropped", {{"reason", dropped.error().what}});
  }
  return {};
}

}  // namespace consilium
