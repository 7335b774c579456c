CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.builds (
    id integer NOT NULL,
    repository_id integer NOT NULL,
    preview_id integer,
    sha character varying(40) NOT NULL,
    state character varying(16) NOT NULL,
    result json,
    fault json,
    queued_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    lease_owner character varying(100),
    lease_until timestamp with time zone
);
CREATE SEQUENCE public.builds_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.builds_id_seq OWNED BY public.builds.id;
CREATE TABLE public.deliveries (
    id integer NOT NULL,
    host character varying(255) NOT NULL,
    app_id bigint NOT NULL,
    guid character varying(100) NOT NULL,
    event character varying(50) NOT NULL,
    payload json NOT NULL,
    state character varying(16) NOT NULL,
    reason character varying(1000),
    attempts integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    acted_at timestamp with time zone,
    lease_owner character varying(100),
    lease_until timestamp with time zone
);
CREATE SEQUENCE public.deliveries_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deliveries_id_seq OWNED BY public.deliveries.id;
CREATE TABLE public.previews (
    id integer NOT NULL,
    repository_id integer NOT NULL,
    kind character varying(8) NOT NULL,
    ref character varying(255) NOT NULL,
    head_sha character varying(40) NOT NULL,
    live boolean NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.previews_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.previews_id_seq OWNED BY public.previews.id;
CREATE TABLE public.reports (
    id integer NOT NULL,
    repository_id integer NOT NULL,
    kind character varying(16) NOT NULL,
    subject character varying(40) NOT NULL,
    wanted json NOT NULL,
    sent json,
    owed boolean NOT NULL,
    remote_id bigint,
    attempts integer NOT NULL,
    not_before timestamp with time zone,
    reason character varying(1000),
    updated_at timestamp with time zone NOT NULL,
    lease_owner character varying(100),
    lease_until timestamp with time zone
);
CREATE SEQUENCE public.reports_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.reports_id_seq OWNED BY public.reports.id;
CREATE TABLE public.repositories (
    id integer NOT NULL,
    host character varying(255) NOT NULL,
    external_id bigint,
    owner character varying(100) NOT NULL,
    name character varying(100) NOT NULL,
    clone_url character varying(1000) NOT NULL,
    default_branch character varying(255),
    private boolean NOT NULL,
    installation_id bigint,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.repositories_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.repositories_id_seq OWNED BY public.repositories.id;
CREATE TABLE public.sessions (
    id character varying(16) NOT NULL,
    repository_id integer NOT NULL,
    build_id integer NOT NULL,
    image character varying(255) NOT NULL,
    token character varying(43) NOT NULL,
    state character varying(16) NOT NULL,
    target character varying(100),
    reason character varying(1000),
    created_at timestamp with time zone NOT NULL,
    ready_at timestamp with time zone,
    opened_at timestamp with time zone,
    activity_at timestamp with time zone,
    ended_at timestamp with time zone,
    lease_owner character varying(100),
    lease_until timestamp with time zone
);
ALTER TABLE ONLY public.builds ALTER COLUMN id SET DEFAULT nextval('public.builds_id_seq'::regclass);
ALTER TABLE ONLY public.deliveries ALTER COLUMN id SET DEFAULT nextval('public.deliveries_id_seq'::regclass);
ALTER TABLE ONLY public.previews ALTER COLUMN id SET DEFAULT nextval('public.previews_id_seq'::regclass);
ALTER TABLE ONLY public.reports ALTER COLUMN id SET DEFAULT nextval('public.reports_id_seq'::regclass);
ALTER TABLE ONLY public.repositories ALTER COLUMN id SET DEFAULT nextval('public.repositories_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.builds VALUES (1, 1, 1, '1-sha-Grüße', 'succeeded', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '1-lease_owner-Grüße', '2026-01-01 12:30:15.123456+00');
INSERT INTO public.builds VALUES (2, 2, 2, '2-sha-Grüße', 'queued', NULL, NULL, '2026-01-02 12:30:15.123456+00', NULL, NULL, NULL, NULL);
INSERT INTO public.deliveries VALUES (1, '1-host-Grüße', 1, '1-guid-Grüße', '1-event-Grüße', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}', 'acted', '1-reason-Grüße', 1, '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '1-lease_owner-Grüße', '2026-01-01 12:30:15.123456+00');
INSERT INTO public.deliveries VALUES (2, '2-host-Grüße', 2, '2-guid-Grüße', '2-event-Grüße', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}', 'stored', NULL, 2, '2026-01-02 12:30:15.123456+00', NULL, NULL, NULL);
INSERT INTO public.previews VALUES (1, 1, 'branch', '1-ref-Grüße', '1-head_sha-Grüße', true, '2026-01-01 12:30:15.123456+00');
INSERT INTO public.previews VALUES (2, 2, 'pull', '2-ref-Grüße', '2-head_sha-Grüße', false, '2026-01-02 12:30:15.123456+00');
INSERT INTO public.reports VALUES (1, 1, 'status', '1-subject-Grüße', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 1, "image": null}', true, 1, 1, '2026-01-01 12:30:15.123456+00', '1-reason-Grüße', '2026-01-01 12:30:15.123456+00', '1-lease_owner-Grüße', '2026-01-01 12:30:15.123456+00');
INSERT INTO public.reports VALUES (2, 2, 'comment', '2-subject-Grüße', '{"said": "\u201c\u00e4\u201d \n ''x''", "number": 2, "image": null}', NULL, false, NULL, 2, NULL, NULL, '2026-01-02 12:30:15.123456+00', NULL, NULL);
INSERT INTO public.repositories VALUES (1, '1-host-Grüße', 1, '1-owner-Grüße', '1-name-Grüße', '1-clone_url-Grüße', '1-default_branch-Grüße', true, 1, '2026-01-01 12:30:15.123456+00');
INSERT INTO public.repositories VALUES (2, '2-host-Grüße', NULL, '2-owner-Grüße', '2-name-Grüße', '2-clone_url-Grüße', NULL, false, NULL, '2026-01-02 12:30:15.123456+00');
INSERT INTO public.sessions VALUES ('1-id-Grüße', 1, 1, '1-image-Grüße', '1-token-Grüße', 'open', '1-target-Grüße', '1-reason-Grüße', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '2026-01-01 12:30:15.123456+00', '1-lease_owner-Grüße', '2026-01-01 12:30:15.123456+00');
INSERT INTO public.sessions VALUES ('2-id-Grüße', 2, 2, '2-image-Grüße', '2-token-Grüße', 'ended', NULL, NULL, '2026-01-02 12:30:15.123456+00', NULL, NULL, NULL, NULL, NULL, NULL);
SELECT pg_catalog.setval('public.builds_id_seq', 1, false);
SELECT pg_catalog.setval('public.deliveries_id_seq', 1, false);
SELECT pg_catalog.setval('public.previews_id_seq', 1, false);
SELECT pg_catalog.setval('public.reports_id_seq', 1, false);
SELECT pg_catalog.setval('public.repositories_id_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.builds
    ADD CONSTRAINT builds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_host_app_id_guid_key UNIQUE (host, app_id, guid);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.previews
    ADD CONSTRAINT previews_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.previews
    ADD CONSTRAINT previews_repository_id_kind_ref_key UNIQUE (repository_id, kind, ref);
ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_repository_id_kind_subject_key UNIQUE (repository_id, kind, subject);
ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT repositories_host_external_id_key UNIQUE (host, external_id);
ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT repositories_host_owner_name_key UNIQUE (host, owner, name);
ALTER TABLE ONLY public.repositories
    ADD CONSTRAINT repositories_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
CREATE INDEX ix_builds_commit ON public.builds USING btree (repository_id, sha);
CREATE INDEX ix_builds_state ON public.builds USING btree (state);
CREATE INDEX ix_deliveries_state ON public.deliveries USING btree (state);
CREATE INDEX ix_reports_owed ON public.reports USING btree (owed);
CREATE INDEX ix_sessions_build ON public.sessions USING btree (build_id);
CREATE INDEX ix_sessions_state ON public.sessions USING btree (state);
ALTER TABLE ONLY public.builds
    ADD CONSTRAINT builds_preview_id_fkey FOREIGN KEY (preview_id) REFERENCES public.previews(id);
ALTER TABLE ONLY public.builds
    ADD CONSTRAINT builds_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES public.repositories(id);
ALTER TABLE ONLY public.previews
    ADD CONSTRAINT previews_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES public.repositories(id);
ALTER TABLE ONLY public.reports
    ADD CONSTRAINT reports_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES public.repositories(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_build_id_fkey FOREIGN KEY (build_id) REFERENCES public.builds(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES public.repositories(id);
