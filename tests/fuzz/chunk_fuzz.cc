// Any bytes as a chunk: refused, or exactly the chunk that its head and content make.
#include "common/base/check.h"
#include "common/wire/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace consilium;
  const ByteView frame(data, size);
  auto chunk = ReadChunk(frame);
  if (!chunk) {
    CHECK(chunk.error().code == Code::kProtocol);
    return 0;
  }
  CHECK(IsChunk(frame) && chunk->count >= 1 && chunk->count <= kMaxChunkLeaves);
  Bytes again = ChunkHead(chunk->root, chunk->first, chunk->count);
  again.insert(again.end(), chunk->content.begin(), chunk->content.end());
  CHECK(std::ranges::equal(again, frame));
  return 0;
}
