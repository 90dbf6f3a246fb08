#include "proto/io/mqtt_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "proto/base/own.h"

static void ctx_freep(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}

/* "ca_file /etc/x.pem: no certificate or crl found": OpenSSL's oldest reason is the
 * cause. */
static enum ota_code fail_tls(struct ota_error *err, const char *key, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_get_error());

	ERR_clear_error();
	return ota_fail(err, OTA_E_CONFIG, "%s %s: %s", key, path,
		reason == NULL ? "cannot be used" : reason);
}

static OTA_CHECKED enum ota_code check_readable(
	const char *key, const char *path, struct ota_error *err)
{
	if (access(path, R_OK) < 0)
		return ota_fail(
			err, OTA_E_CONFIG, "%s %s: %s", key, path, strerror(errno));
	return OTA_OK;
}

static OTA_CHECKED enum ota_code check_identity(
	SSL_CTX *ctx, const struct ota_mqtt_config *config, struct ota_error *err)
{
	const char *key_file =
		config->key_file == NULL ? config->cert_file : config->key_file;
	enum ota_code rc = check_readable("cert_file", config->cert_file, err);

	if (rc == OTA_OK)
		rc = check_readable("key_file", key_file, err);
	if (rc != OTA_OK)
		return rc;
	if (SSL_CTX_use_certificate_chain_file(ctx, config->cert_file) != 1)
		return fail_tls(err, "cert_file", config->cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return fail_tls(err, "key_file", key_file);
	return OTA_OK;
}

enum ota_code ota_tls_check(const struct ota_mqtt_config *config, struct ota_error *err)
{
	OTA_AUTO(ctx_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	enum ota_code rc;

	if (ctx == NULL)
		return ota_fail(err, OTA_E_NOMEM, "no TLS context");
	if (config->ca_file == NULL)
		return ota_fail(
			err, OTA_E_CONFIG, "ca_file is needed for %s", config->url);
	rc = check_readable("ca_file", config->ca_file, err);
	if (rc != OTA_OK)
		return rc;
	if (SSL_CTX_load_verify_locations(ctx, config->ca_file, NULL) != 1)
		return fail_tls(err, "ca_file", config->ca_file);
	if (config->cert_file != NULL)
		return check_identity(ctx, config, err);
	if (config->key_file != NULL)
		return ota_fail(err, OTA_E_CONFIG, "key_file without cert_file");
	return OTA_OK;
}
