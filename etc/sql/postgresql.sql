-- Tables for <database_output> with type postgresql:
--     psql -d ossec -f postgresql.sql
CREATE TABLE category (
    cat_id      SERIAL PRIMARY KEY,
    cat_name    VARCHAR(32) NOT NULL UNIQUE
);
CREATE TABLE signature (
    id          SERIAL PRIMARY KEY,
    rule_id     INT8 NOT NULL UNIQUE,
    level       INT4,
    description VARCHAR(255) NOT NULL
);
CREATE TABLE signature_category_mapping (
    id          SERIAL,
    rule_id     INT8 NOT NULL,
    cat_id      INT4 NOT NULL,
    PRIMARY KEY (id, rule_id, cat_id)
);
CREATE TABLE server (
    id           SERIAL PRIMARY KEY,
    last_contact INT8 NOT NULL,
    version      VARCHAR(32) NOT NULL,
    hostname     VARCHAR(64) NOT NULL UNIQUE,
    information  TEXT NOT NULL
);
CREATE TABLE agent (
    id           SERIAL,
    server_id    INT4 NOT NULL,
    last_contact INT8 NOT NULL,
    ip_address   VARCHAR(46) NOT NULL,
    version      VARCHAR(32) NOT NULL,
    name         VARCHAR(64) NOT NULL,
    information  VARCHAR(128) NOT NULL,
    PRIMARY KEY (id, server_id)
);
CREATE TABLE location (
    id           SERIAL,
    server_id    INT4 NOT NULL,
    name         VARCHAR(128) NOT NULL,
    PRIMARY KEY (id, server_id)
);
CREATE TABLE alert (
    id           BIGSERIAL,
    server_id    INT4 NOT NULL,
    rule_id      INT8 NOT NULL,
    level        INT2,
    timestamp    INT8 NOT NULL,
    location_id  INT4 NOT NULL,
    src_ip       VARCHAR(46),
    dst_ip       VARCHAR(46),
    src_port     INT4,
    dst_port     INT4,
    alertid      TEXT,
    "user"       TEXT,
    full_log     TEXT NOT NULL,
    is_hidden    INT2 NOT NULL DEFAULT 0,
    tld          VARCHAR(32) NOT NULL DEFAULT '',
    PRIMARY KEY (id, server_id)
);
CREATE INDEX alert_alertid ON alert (alertid);
CREATE INDEX alert_level ON alert (level);
CREATE INDEX alert_timestamp ON alert (timestamp);
CREATE INDEX alert_rule_id ON alert (rule_id);
CREATE INDEX alert_src_ip ON alert (src_ip);
CREATE INDEX alert_tld ON alert (tld);
CREATE TABLE data (
    id           BIGINT NOT NULL,
    server_id    INT4 NOT NULL,
    "user"       TEXT NOT NULL,
    full_log     TEXT NOT NULL,
    PRIMARY KEY (id, server_id)
);
