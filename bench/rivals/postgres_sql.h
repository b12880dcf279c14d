// What PostgreSQL is asked, prepared by name in each connection.
#pragma once

namespace once::bench {

inline constexpr const char* schema = R"(
  CREATE TABLE IF NOT EXISTS keys (
    key text COLLATE "C" PRIMARY KEY, status smallint NOT NULL, lease_until bigint NOT NULL,
    expires_at bigint NOT NULL, token bigint NOT NULL, attempt integer NOT NULL,
    owner text NOT NULL, outcome bytea);
  CREATE TABLE IF NOT EXISTS rows (key text PRIMARY KEY, value bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS events (
    sequence bigserial PRIMARY KEY, delivered bigint NOT NULL, aggregate text NOT NULL,
    type text NOT NULL, payload bytea NOT NULL);
  CREATE INDEX IF NOT EXISTS pending ON events (sequence) WHERE delivered = 0;
  CREATE SEQUENCE IF NOT EXISTS token;
)";

// What is free: never seen, past its retention, or left by an owner whose lease lapsed.
#define IF_FREE(now) \
  "WHERE CASE keys.status WHEN 2 THEN keys.expires_at ELSE keys.lease_until END <= " now
#define FINISH(values)                                                                     \
  "INSERT INTO keys " values                                                               \
  " ON CONFLICT (key) DO UPDATE SET status = 2, expires_at = excluded.expires_at, "        \
  "token = excluded.token, attempt = keys.attempt + 1, owner = excluded.owner, outcome = " \
  "excluded.outcome " IF_FREE("excluded.lease_until")

struct Prepared {
  const char* name;
  const char* sql;
};
inline constexpr Prepared prepared[] = {
    {"reserve",
     "INSERT INTO keys VALUES ($1, 1, $2, $3, nextval('token'), 1, $4, NULL) "
     "ON CONFLICT (key) DO UPDATE SET status = 1, lease_until = excluded.lease_until, "
     "expires_at = excluded.expires_at, token = excluded.token, attempt = keys.attempt + 1, "
     "owner = excluded.owner, outcome = NULL " IF_FREE("$5") " RETURNING token"},
    {"complete",
     "UPDATE keys SET status = 2, outcome = $1, expires_at = $2 "
     "WHERE key = $3 AND token = $4 AND status = 1"},
    {"transact",
     "WITH done AS (" FINISH(
         "VALUES ($1, 2, $2, $3, nextval('token'), 1, $4, $5)") " RETURNING 1)"
                                                                " INSERT INTO rows SELECT 'count', "
                                                                "1 FROM done "
                                                                "ON CONFLICT (key) DO UPDATE SET "
                                                                "value = rows.value + 1 RETURNING "
                                                                "value"},
    {"publish",
     "WITH done AS (" FINISH(
         "VALUES ($1, 2, $2, $3, nextval('token'), 1, $4, $5)") " RETURNING 1)"
                                                                " INSERT INTO events (delivered, "
                                                                "aggregate, type, payload) "
                                                                "SELECT 0, $1, 'order.placed', $6 "
                                                                "FROM done RETURNING sequence"},
    {"fill",
     FINISH("SELECT k, 2, $2, $3, nextval('token'), 1, $4, v FROM unnest($1::text[], $5::bytea[]) "
            "AS filled (k, v)")},
    {"find", "SELECT status::bigint, expires_at, outcome FROM keys WHERE key = $1"},
    {"reserve many",
     "WITH asked AS (SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS a (key, at)), "
     "granted AS (INSERT INTO keys SELECT key, 1, $2, $3, nextval('token'), 1, $4, NULL "
     "FROM asked ON CONFLICT (key) DO UPDATE SET status = 1, lease_until = excluded.lease_until, "
     "expires_at = excluded.expires_at, token = excluded.token, attempt = keys.attempt + 1, "
     "owner = excluded.owner, outcome = NULL " IF_FREE(
         "$5") " RETURNING key) "
               "SELECT (granted.key IS NOT NULL)::int::bigint, keys.outcome FROM asked "
               "LEFT JOIN granted USING (key) LEFT JOIN keys USING (key) ORDER BY at"},
    {"expire",
     "WITH gone AS (DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE status = 2 AND "
     "expires_at <= $1 AND key > $2 ORDER BY key LIMIT 1000) RETURNING key) "
     "SELECT max(key) FROM gone"},
    {"pending",
     "SELECT sequence, payload FROM events WHERE delivered = 0 ORDER BY sequence LIMIT $1"},
    {"delivered", "UPDATE events SET delivered = $1 WHERE delivered = 0 AND sequence <= $2"},
    {"finished", "SELECT count(*) FROM keys WHERE status = 2"},
};

#undef IF_FREE
#undef FINISH

}  // namespace once::bench
