// A key file is
//
//   "CSK1" | u32 LE Argon2id passes | u32 LE Argon2id memory in KiB | salt (16) | nonce (24) | ciphertext
//
// The ciphertext is XChaCha20-Poly1305 of the secret under Argon2id(passphrase, salt); everything before it is
// authenticated with it. The costs are written so that they can rise, and bounded so that a planted file cannot make
// the reader spend gigabytes.
#include "common/crypto/keys.h"

#include <fmt/format.h>

#include <cstdlib>

#include "common/base/files.h"
#include "common/crypto/sodium.h"

namespace consilium {
namespace {

constexpr std::size_t kMaxSecretBytes = 4096;
constexpr std::size_t kSaltBytes = crypto_pwhash_argon2id_SALTBYTES;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kSaltAt = 12, kNonceAt = kSaltAt + kSaltBytes, kHeadBytes = kNonceAt + kNonceBytes;
constexpr std::string_view kMagic = "CSK1";
static_assert(KeyFileCost().passes == crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE &&
              KeyFileCost().memory_kib == crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE / 1024);
constexpr std::uint32_t kMostPasses = 16, kMostMemoryKib = 256 * 1024;
constexpr std::size_t kMaxPassphraseBytes = 1024;
constexpr char kCredential[] = "consilium-passphrase";

void PutU32(std::uint8_t* out, std::uint32_t number) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(number >> (8 * i));
}
std::uint32_t GetU32(const std::uint8_t* in) {
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number |= static_cast<std::uint32_t>(in[i]) << (8 * i);
  return number;
}

Result<Secret> FileKey(ByteView passphrase, const std::uint8_t* salt, std::uint32_t passes, std::uint32_t memory_kib) {
  InitSodium();
  Secret key(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
  if (crypto_pwhash(key.bytes().data(), key.size(), reinterpret_cast<const char*>(passphrase.data()), passphrase.size(),
                    salt, passes, std::size_t{memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return Fail(Code::kIo, fmt::format("deriving the key of a key file needs {} MiB of memory, which this machine does "
                                       "not give; free some and try again",
                                       memory_kib / 1024));
  }
  return key;
}

// A word of five letters: sixteen onsets, four vowels, thirty-two endings, which makes 11 bits.
std::string Word(unsigned index) {
  static constexpr std::string_view kOnsets = "bdfghjklmnprstvz", kVowels = "aiou";
  static constexpr std::string_view kEndings[] = {
      "bel", "dan", "der", "din", "dor", "fel", "gan", "gor", "kan", "ker", "lan", "len", "lim", "lon", "mar", "mel",
      "min", "mor", "nal", "ner", "nis", "nor", "ral", "ren", "rik", "ron", "sen", "sil", "tan", "tel", "tor", "vin"};
  static_assert(kOnsets.size() * kVowels.size() * std::size(kEndings) == 2048);
  return fmt::format("{}{}{}", kOnsets[index >> 7], kVowels[index >> 5 & 3], kEndings[index & 31]);
}

// The passphrase without its line's end.
Result<Secret> ReadPassphrase(const std::filesystem::path& path) {
  Bytes raw = TRY(ReadFile(path, kMaxPassphraseBytes));
  std::string_view text = Text(raw);
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  Secret passphrase = Secret::Copy(View(text));
  Wipe(raw);
  if (passphrase.size() == 0) {
    return Fail(Code::kInvalid,
                fmt::format("{} is empty; write the passphrase of this installation into it", path.string()));
  }
  return passphrase;
}

}  // namespace

IdentityKey IdentityKey::Generate() { return FromSeed(Secret::Random(crypto_sign_SEEDBYTES).view()); }

IdentityKey IdentityKey::FromSeed(ByteView seed32) {
  CHECK(seed32.size() == crypto_sign_SEEDBYTES);
  InitSodium();
  IdentityKey key;
  key.seed_ = Secret::Copy(seed32);
  key.secret_ = Secret(crypto_sign_SECRETKEYBYTES);
  CHECK(crypto_sign_seed_keypair(key.public_.bytes.data(), key.secret_.bytes().data(), seed32.data()) == 0);
  return key;
}

Signature IdentityKey::Sign(ByteView message) const {
  CHECK(secret_.size() == crypto_sign_SECRETKEYBYTES);  // Not moved from.
  Signature out;
  CHECK(crypto_sign_detached(out.bytes.data(), nullptr, message.data(), message.size(), secret_.view().data()) == 0);
  return out;
}

bool Verify(const VerifyKey& key, ByteView message, const Signature& signature) {
  InitSodium();
  return crypto_sign_verify_detached(signature.bytes.data(), message.data(), message.size(), key.bytes.data()) == 0;
}

CurveKey CurveKey::Generate() { return FromSecret(Secret::Random(crypto_scalarmult_SCALARBYTES).view()); }

CurveKey CurveKey::FromSecret(ByteView secret32) {
  CHECK(secret32.size() == crypto_scalarmult_SCALARBYTES);
  InitSodium();
  CurveKey key;
  key.secret_ = Secret::Copy(secret32);
  CHECK(crypto_scalarmult_base(key.public_.bytes.data(), key.secret_.view().data()) == 0);
  return key;
}

std::string Fingerprint(ByteView a, ByteView b) {
  const Digest hash = Fields("consilium/fingerprint").Add(a).Add(b).Hash();
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < 11; ++i) {  // 11 bytes are 8 words.
    bits = bits << 8 | hash.bytes[i];
    count += 8;
    if (count < 11) continue;
    count -= 11;
    if (!out.empty()) out += '-';
    out += Word(bits >> count & 2047);
  }
  return out;
}

Status SaveSecret(const std::filesystem::path& path, ByteView secret, ByteView passphrase, const KeyFileCost& cost) {
  CHECK(secret.size() <= kMaxSecretBytes);
  TRY(EnsurePrivateDirectory(path.has_parent_path() ? path.parent_path() : "."));
  Bytes file(kHeadBytes + secret.size() + kTagBytes);
  std::copy(kMagic.begin(), kMagic.end(), file.begin());
  PutU32(&file[4], cost.passes);
  PutU32(&file[8], cost.memory_kib);
  RandomBytes(std::span(file).subspan(kSaltAt, kSaltBytes + kNonceBytes));
  const Secret key = TRY(FileKey(passphrase, &file[kSaltAt], cost.passes, cost.memory_kib));
  CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt(&file[kHeadBytes], nullptr, secret.data(), secret.size(),
                                                   file.data(), kHeadBytes, nullptr, &file[kNonceAt],
                                                   key.view().data()) == 0);
  return WriteFileAtomic(path, file, 0600);
}

Result<Secret> LoadSecret(const std::filesystem::path& path, ByteView passphrase) {
  TRY(RequirePrivateFile(path));
  TRY(EnsurePrivateDirectory(path.has_parent_path() ? path.parent_path() : "."));
  const Bytes file = TRY(ReadFile(path, kHeadBytes + kMaxSecretBytes + kTagBytes));
  if (file.size() < kHeadBytes + kTagBytes || !std::equal(kMagic.begin(), kMagic.end(), file.begin())) {
    return Fail(Code::kCorrupt,
                fmt::format("{} is not a key file, or is cut off; restore it from a backup", path.string()));
  }
  const std::uint32_t passes = GetU32(&file[4]), memory_kib = GetU32(&file[8]);
  if (passes < crypto_pwhash_argon2id_OPSLIMIT_MIN || passes > kMostPasses ||
      memory_kib < crypto_pwhash_argon2id_MEMLIMIT_MIN / 1024 || memory_kib > kMostMemoryKib) {
    return Fail(Code::kCorrupt,
                fmt::format("{} asks for {} passes over {} KiB, which no key file of ours does; restore it "
                            "from a backup",
                            path.string(), passes, memory_kib));
  }
  const Secret key = TRY(FileKey(passphrase, &file[kSaltAt], passes, memory_kib));
  Secret secret(file.size() - kHeadBytes - kTagBytes);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(secret.bytes().data(), nullptr, nullptr, &file[kHeadBytes],
                                                 file.size() - kHeadBytes, file.data(), kHeadBytes, &file[kNonceAt],
                                                 key.view().data()) != 0) {
    return Fail(Code::kRefused,
                fmt::format("{} does not open: the passphrase is not the one it was written with, or the "
                            "file was changed; give the right passphrase or restore a backup",
                            path.string()));
  }
  return secret;
}

Result<Secret> Passphrase(const std::filesystem::path& directory, bool create) {
  if (const char* credentials = std::getenv("CREDENTIALS_DIRECTORY"); credentials != nullptr && *credentials != '\0') {
    // systemd guards these itself; its access list shows as group bits, so the mode says nothing.
    Result<Secret> passphrase = ReadPassphrase(std::filesystem::path(credentials) / kCredential);
    if (passphrase || passphrase.error().code != Code::kNotFound) return passphrase;
  }
  const std::filesystem::path path = directory / "keys" / "passphrase";
  const Status guarded = RequirePrivateFile(path);
  if (guarded) {
    TRY(EnsurePrivateDirectory(path.parent_path()));
    return ReadPassphrase(path);
  }
  if (guarded.error().code != Code::kNotFound) return std::unexpected(guarded.error());
  if (!create) {
    return Fail(Code::kNotFound,
                fmt::format("no passphrase: neither the credential {} nor {} exists; restore the file, or "
                            "set the credential in the unit",
                            kCredential, path.string()));
  }
  TRY(EnsurePrivateDirectory(path.parent_path()));
  Secret raw = Secret::Random(24);
  std::string text = Base64(raw.view());  // 32 characters.
  Secret passphrase = Secret::Copy(View(text));
  const Status written = WriteFileAtomic(path, View(text), 0600);
  Wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!written) return std::unexpected(written.error());
  return passphrase;
}

}  // namespace consilium
