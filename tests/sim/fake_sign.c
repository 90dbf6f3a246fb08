/* In place of libsodium's signatures, where a world lives ten thousand times: a signature
 * is a digest of key and message. It keeps apart what is signed by whom, nothing more. */

#include <sodium.h>
#include <string.h>

int __wrap_crypto_sign_seed_keypair(
	unsigned char *pk, unsigned char *sk, const unsigned char *seed);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *sig_len,
	const unsigned char *m, unsigned long long m_len, const unsigned char *sk);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
	unsigned long long m_len, const unsigned char *pk);

static unsigned long long mix(
	unsigned long long sum, const unsigned char *at, unsigned long long len)
{
	for (unsigned long long i = 0; i < len; i++)
		sum = (sum ^ at[i]) * 0x100000001b3ULL;
	return sum;
}

static void sign(unsigned char *sig, const unsigned char *m, unsigned long long m_len,
	const unsigned char *pk)
{
	unsigned long long sum =
		mix(mix(0xcbf29ce484222325ULL, pk, crypto_sign_PUBLICKEYBYTES), m, m_len);

	memset(sig, 0, crypto_sign_BYTES);
	memcpy(sig, &sum, sizeof sum);
}

int __wrap_crypto_sign_seed_keypair(
	unsigned char *pk, unsigned char *sk, const unsigned char *seed)
{
	memcpy(pk, seed, crypto_sign_PUBLICKEYBYTES);
	memcpy(sk, seed, crypto_sign_SEEDBYTES);
	memcpy(sk + crypto_sign_SEEDBYTES, pk, crypto_sign_PUBLICKEYBYTES);
	return 0;
}

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *sig_len,
	const unsigned char *m, unsigned long long m_len, const unsigned char *sk)
{
	if (sig_len != NULL)
		*sig_len = crypto_sign_BYTES;
	sign(sig, m, m_len, sk + crypto_sign_SEEDBYTES);
	return 0;
}

int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
	unsigned long long m_len, const unsigned char *pk)
{
	unsigned char expected[crypto_sign_BYTES];

	sign(expected, m, m_len, pk);
	return memcmp(sig, expected, sizeof expected) == 0 ? 0 : -1;
}
