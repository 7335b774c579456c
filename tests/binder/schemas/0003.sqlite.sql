BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE "builds" (
	id INTEGER NOT NULL, 
	repository_id INTEGER NOT NULL, 
	preview_id INTEGER, 
	sha VARCHAR(40) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	result JSON, 
	fault JSON, 
	queued_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	lease_owner VARCHAR(100), 
	lease_until DATETIME, 
	untrusted BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(preview_id) REFERENCES previews (id), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "builds" VALUES(1,1,1,'1-sha-Grüße','succeeded','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','1-lease_owner-Grüße','2026-01-01 12:30:15.123456',1);
INSERT INTO "builds" VALUES(2,2,2,'2-sha-Grüße','queued',NULL,NULL,'2026-01-02 12:30:15.123456',NULL,NULL,NULL,NULL,0);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	repository_id INTEGER NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	ref VARCHAR(255) NOT NULL, 
	sha VARCHAR(40), 
	cause VARCHAR(16) NOT NULL, 
	delivery_id INTEGER, 
	outcome VARCHAR(16) NOT NULL, 
	reason VARCHAR(1000), 
	actor VARCHAR(100), 
	decided_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(delivery_id) REFERENCES deliveries (id), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "decisions" VALUES(1,1,'branch','1-ref-Grüße','1-sha-Grüße','1-cause-Grüße',1,'1-outcome-Grüße','1-reason-Grüße','1-actor-Grüße','2026-01-01 12:30:15.123456');
INSERT INTO "decisions" VALUES(2,2,'pull','2-ref-Grüße',NULL,'2-cause-Grüße',2,'2-outcome-Grüße',NULL,NULL,'2026-01-02 12:30:15.123456');
CREATE TABLE deliveries (
	id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	app_id BIGINT NOT NULL, 
	guid VARCHAR(100) NOT NULL, 
	event VARCHAR(50) NOT NULL, 
	payload JSON NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason VARCHAR(1000), 
	attempts INTEGER NOT NULL, 
	received_at DATETIME NOT NULL, 
	acted_at DATETIME, 
	lease_owner VARCHAR(100), 
	lease_until DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (host, app_id, guid)
);
INSERT INTO "deliveries" VALUES(1,'1-host-Grüße',1,'1-guid-Grüße','1-event-Grüße','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}','acted','1-reason-Grüße',1,'2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','1-lease_owner-Grüße','2026-01-01 12:30:15.123456');
INSERT INTO "deliveries" VALUES(2,'2-host-Grüße',2,'2-guid-Grüße','2-event-Grüße','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}','stored',NULL,2,'2026-01-02 12:30:15.123456',NULL,NULL,NULL);
CREATE TABLE grants (
	visitor_id INTEGER NOT NULL, 
	repository_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	asked_at DATETIME NOT NULL, 
	PRIMARY KEY (visitor_id, repository_id), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id), 
	FOREIGN KEY(visitor_id) REFERENCES visitors (id)
);
INSERT INTO "grants" VALUES(1,1,1,'2026-01-01 12:30:15.123456');
INSERT INTO "grants" VALUES(2,2,2,'2026-01-02 12:30:15.123456');
CREATE TABLE installations (
	id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	external_id BIGINT NOT NULL, 
	account VARCHAR(100) NOT NULL, 
	suspended BOOLEAN NOT NULL, 
	compared_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (host, external_id)
);
INSERT INTO "installations" VALUES(1,'1-host-Grüße',1,'1-account-Grüße',1,'2026-01-01 12:30:15.123456');
INSERT INTO "installations" VALUES(2,'2-host-Grüße',2,'2-account-Grüße',0,NULL);
CREATE TABLE "previews" (
	id INTEGER NOT NULL, 
	repository_id INTEGER NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	ref VARCHAR(255) NOT NULL, 
	head_sha VARCHAR(40) NOT NULL, 
	live BOOLEAN NOT NULL, 
	updated_at DATETIME NOT NULL, 
	from_fork BOOLEAN DEFAULT 0 NOT NULL, 
	held VARCHAR(1000), 
	approved_sha VARCHAR(40), 
	approved_by VARCHAR(100), 
	facts JSON DEFAULT '{}' NOT NULL, 
	choices JSON DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (repository_id, kind, ref), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "previews" VALUES(1,1,'branch','1-ref-Grüße','1-head_sha-Grüße',1,'2026-01-01 12:30:15.123456',1,'1-held-Grüße','1-approved_sha-Grüße','1-approved_by-Grüße','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}');
INSERT INTO "previews" VALUES(2,2,'pull','2-ref-Grüße','2-head_sha-Grüße',0,'2026-01-02 12:30:15.123456',0,NULL,NULL,NULL,'{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}');
CREATE TABLE reports (
	id INTEGER NOT NULL, 
	repository_id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	subject VARCHAR(40) NOT NULL, 
	wanted JSON NOT NULL, 
	sent JSON, 
	owed BOOLEAN NOT NULL, 
	remote_id BIGINT, 
	attempts INTEGER NOT NULL, 
	not_before DATETIME, 
	reason VARCHAR(1000), 
	updated_at DATETIME NOT NULL, 
	lease_owner VARCHAR(100), 
	lease_until DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id), 
	UNIQUE (repository_id, kind, subject)
);
INSERT INTO "reports" VALUES(1,1,'status','1-subject-Grüße','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}',1,1,1,'2026-01-01 12:30:15.123456','1-reason-Grüße','2026-01-01 12:30:15.123456','1-lease_owner-Grüße','2026-01-01 12:30:15.123456');
INSERT INTO "reports" VALUES(2,2,'comment','2-subject-Grüße','{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}',NULL,0,NULL,2,NULL,NULL,'2026-01-02 12:30:15.123456',NULL,NULL);
CREATE TABLE "repositories" (
	id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	external_id BIGINT, 
	owner VARCHAR(100) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	clone_url VARCHAR(1000) NOT NULL, 
	default_branch VARCHAR(255), 
	private BOOLEAN NOT NULL, 
	installation_id BIGINT, 
	created_at DATETIME NOT NULL, 
	archived BOOLEAN DEFAULT 0 NOT NULL, access_epoch INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (host, external_id), 
	UNIQUE (host, owner, name)
);
INSERT INTO "repositories" VALUES(1,'1-host-Grüße',1,'1-owner-Grüße','1-name-Grüße','1-clone_url-Grüße','1-default_branch-Grüße',1,1,'2026-01-01 12:30:15.123456',1,1);
INSERT INTO "repositories" VALUES(2,'2-host-Grüße',NULL,'2-owner-Grüße','2-name-Grüße','2-clone_url-Grüße',NULL,0,NULL,'2026-01-02 12:30:15.123456',0,2);
CREATE TABLE "sessions" (
	id VARCHAR(16) NOT NULL, 
	repository_id INTEGER NOT NULL, 
	build_id INTEGER NOT NULL, 
	image VARCHAR(255) NOT NULL, 
	token VARCHAR(43) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	target VARCHAR(100), 
	reason VARCHAR(1000), 
	created_at DATETIME NOT NULL, 
	ready_at DATETIME, 
	opened_at DATETIME, 
	activity_at DATETIME, 
	ended_at DATETIME, 
	lease_owner VARCHAR(100), 
	lease_until DATETIME, 
	visitor_id INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_visitor_id FOREIGN KEY(visitor_id) REFERENCES visitors (id), 
	FOREIGN KEY(build_id) REFERENCES builds (id), 
	FOREIGN KEY(repository_id) REFERENCES repositories (id)
);
INSERT INTO "sessions" VALUES('1-id-Grüße',1,1,'1-image-Grüße','1-token-Grüße','open','1-target-Grüße','1-reason-Grüße','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','2026-01-01 12:30:15.123456','1-lease_owner-Grüße','2026-01-01 12:30:15.123456',1);
INSERT INTO "sessions" VALUES('2-id-Grüße',2,2,'2-image-Grüße','2-token-Grüße','ended',NULL,NULL,'2026-01-02 12:30:15.123456',NULL,NULL,NULL,NULL,NULL,NULL,2);
CREATE TABLE signed_in (
	digest VARCHAR(64) NOT NULL, 
	visitor_id INTEGER NOT NULL, 
	ends_at DATETIME NOT NULL, 
	PRIMARY KEY (digest), 
	FOREIGN KEY(visitor_id) REFERENCES visitors (id)
);
INSERT INTO "signed_in" VALUES('1-digest-Grüße',1,'2026-01-01 12:30:15.123456');
INSERT INTO "signed_in" VALUES('2-digest-Grüße',2,'2026-01-02 12:30:15.123456');
CREATE TABLE visitors (
	id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	external_id BIGINT NOT NULL, 
	login VARCHAR(100) NOT NULL, 
	tokens VARCHAR(4000), 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (host, external_id)
);
INSERT INTO "visitors" VALUES(1,'1-host-Grüße',1,'1-login-Grüße','1-tokens-Grüße','2026-01-01 12:30:15.123456');
INSERT INTO "visitors" VALUES(2,'2-host-Grüße',2,'2-login-Grüße',NULL,'2026-01-02 12:30:15.123456');
CREATE INDEX ix_deliveries_state ON deliveries (state);
CREATE INDEX ix_reports_owed ON reports (owed);
CREATE INDEX ix_decisions_commit ON decisions (repository_id, sha);
CREATE INDEX ix_builds_state ON builds (state);
CREATE INDEX ix_builds_commit ON builds (repository_id, sha);
CREATE INDEX ix_signed_in_visitor ON signed_in (visitor_id);
CREATE INDEX ix_sessions_build ON sessions (build_id);
CREATE INDEX ix_sessions_state ON sessions (state);
COMMIT;
