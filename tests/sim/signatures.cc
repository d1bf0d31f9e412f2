// Ed25519 with a memory, for what is linked with --wrap (sim, sim_twins, the fuzz targets): half of a seed's time
// would go into signatures that this very process has made before. One that was made here, over these very bytes, under
// this very key, is known to verify; whatever else is asked, changed bytes and forgeries above all, is verified for
// real.
#include <algorithm>
#include <map>
#include <utility>

#include "common/base/bytes.h"

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
extern "C" {
int __real_crypto_sign_detached(unsigned char* signature, unsigned long long* signature_bytes,
                                const unsigned char* message, unsigned long long bytes, const unsigned char* secret);
int __real_crypto_sign_verify_detached(const unsigned char* signature, const unsigned char* message,
                                       unsigned long long bytes, const unsigned char* key);
int __wrap_crypto_sign_detached(unsigned char* signature, unsigned long long* signature_bytes,
                                const unsigned char* message, unsigned long long bytes, const unsigned char* secret);
int __wrap_crypto_sign_verify_detached(const unsigned char* signature, const unsigned char* message,
                                       unsigned long long bytes, const unsigned char* key);
}

namespace {

using consilium::Bytes;
using consilium::ByteView;

constexpr std::size_t kSignature = 64, kKey = 32;
constexpr std::size_t kMost = 1 << 14;  // Then it forgets all: a seed makes some hundreds.

// Ed25519 draws nothing, so one key and one message have one signature.
using Signed = std::pair<Bytes, Bytes>;  // Key, message.
thread_local std::map<Signed, Bytes> signatures;

}  // namespace

int __wrap_crypto_sign_detached(unsigned char* signature, unsigned long long* signature_bytes,
                                const unsigned char* message, unsigned long long bytes, const unsigned char* secret) {
  if (signatures.size() >= kMost) signatures.clear();
  const ByteView key(secret + kKey, kKey);  // A secret key ends with its public one.
  Bytes& made = signatures[{consilium::ToBytes(key), consilium::ToBytes({message, bytes})}];
  if (made.empty()) {
    made.resize(kSignature);
    if (const int status = __real_crypto_sign_detached(made.data(), nullptr, message, bytes, secret)) return status;
  }
  std::ranges::copy(made, signature);
  if (signature_bytes != nullptr) *signature_bytes = kSignature;
  return 0;
}

int __wrap_crypto_sign_verify_detached(const unsigned char* signature, const unsigned char* message,
                                       unsigned long long bytes, const unsigned char* key) {
  const auto made = signatures.find({consilium::ToBytes({key, kKey}), consilium::ToBytes({message, bytes})});
  if (made != signatures.end() && std::ranges::equal(made->second, ByteView(signature, kSignature))) return 0;
  return __real_crypto_sign_verify_detached(signature, message, bytes, key);
}
// NOLINTEND(bugprone-reserved-identifier)
