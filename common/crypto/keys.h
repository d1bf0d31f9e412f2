// Long-lived keys: Ed25519 identities (IK), CURVE transport keys (TK), key files, fingerprints.
#pragma once

#include <filesystem>
#include <string>

#include "common/crypto/hash.h"
#include "common/crypto/secret.h"

namespace consilium {

class IdentityKey {
 public:
  static IdentityKey Generate();
  static IdentityKey FromSeed(ByteView seed32);  // Key files; the tests' and the simulator's fixed keys.
  [[nodiscard]] const VerifyKey& verify_key() const { return public_; }
  [[nodiscard]] Signature Sign(ByteView message) const;
  [[nodiscard]] ByteView seed() const { return seed_.view(); }

 private:
  Secret seed_, secret_;
  VerifyKey public_;
};
// False for a wrong signature and for a key of small order or non-canonical encoding.
bool Verify(const VerifyKey& key, ByteView message, const Signature& signature);

// CURVE25519 as ZeroMQ uses it.
class CurveKey {
 public:
  static CurveKey Generate();
  static CurveKey FromSecret(ByteView secret32);
  [[nodiscard]] const TransportKey& public_key() const { return public_; }
  [[nodiscard]] ByteView secret() const { return secret_.view(); }

 private:
  Secret secret_;
  TransportKey public_;
};

// Eight pronounceable words of 11 bits each (88 bits) over H("consilium/fingerprint" | a | b); people compare them.
std::string Fingerprint(ByteView a, ByteView b);

// Key files are XChaCha20-Poly1305 under Argon2id of a passphrase, mode 0600 in a 0700 directory; anything else is
// kRefused.
struct KeyFileCost {  // Of a guess at the passphrase; a key file says its own.
  std::uint32_t passes = 2, memory_kib = 64 * 1024;
};
Status SaveSecret(const std::filesystem::path& path, ByteView secret, ByteView passphrase,
                  const KeyFileCost& cost = {});
Result<Secret> LoadSecret(const std::filesystem::path& path, ByteView passphrase);
// The passphrase: systemd's credential "consilium-passphrase" ($CREDENTIALS_DIRECTORY), else the 0600 file
// DIR/keys/passphrase, which `create` makes (32 random characters) when neither exists.
Result<Secret> Passphrase(const std::filesystem::path& directory, bool create);

}  // namespace consilium
