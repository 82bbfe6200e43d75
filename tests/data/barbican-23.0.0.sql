BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('8c74e2d7f1ff');
CREATE TABLE certificate_authorities (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	plugin_name VARCHAR(255) NOT NULL, 
	plugin_ca_id TEXT NOT NULL, 
	expiration DATETIME, 
	creator_id VARCHAR(255), 
	project_id VARCHAR(36), 
	PRIMARY KEY (id), 
	CONSTRAINT cas_project_fk FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE TABLE certificate_authority_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	ca_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(ca_id) REFERENCES certificate_authorities (id), 
	CONSTRAINT _certificate_authority_metadatum_uc UNIQUE (ca_id, "key")
);
CREATE TABLE container_acl_users (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	acl_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(acl_id) REFERENCES container_acls (id), 
	CONSTRAINT _container_acl_user_uc UNIQUE (acl_id, user_id)
);
CREATE TABLE container_acls (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	container_id VARCHAR(36) NOT NULL, 
	operation VARCHAR(255) NOT NULL, 
	project_access BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(container_id) REFERENCES containers (id), 
	CONSTRAINT _container_acl_operation_uc UNIQUE (container_id, operation)
);
CREATE TABLE container_consumer_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	container_id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(36), 
	name VARCHAR(36), 
	"URL" VARCHAR(255), 
	data_hash CHAR(64), 
	PRIMARY KEY (id), 
	FOREIGN KEY(container_id) REFERENCES containers (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	CONSTRAINT _consumer_hashed_container_name_url_uc UNIQUE (data_hash)
);
CREATE TABLE container_secret (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	name VARCHAR(255), 
	container_id VARCHAR(36) NOT NULL, 
	secret_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(container_id) REFERENCES containers (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id), 
	CONSTRAINT _container_secret_name_uc UNIQUE (container_id, secret_id, name)
);
CREATE TABLE containers (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	name VARCHAR(255), 
	type VARCHAR(11), 
	project_id VARCHAR(36) NOT NULL, 
	creator_id VARCHAR(255), 
	PRIMARY KEY (id), 
	CONSTRAINT containers_project_fk FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE TABLE encrypted_data (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	content_type VARCHAR(255), 
	secret_id VARCHAR(36) NOT NULL, 
	kek_id VARCHAR(36) NOT NULL, 
	cypher_text TEXT, 
	kek_meta_extended TEXT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(kek_id) REFERENCES kek_data (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id)
);
INSERT INTO "encrypted_data" VALUES('2460c47f-5869-4c3d-9f01-eebfe6c2b64e','2026-11-21 12:06:35.574336','2026-11-21 12:06:35.574336',NULL,0,'ACTIVE','text/plain','bcdb10a4-48ba-4233-bd09-5b54b782f1fb','ee486c86-46ab-4f83-a26c-49fa780985e6',X'5A30464251554642516E4A425757784D557A4672517A5633636D3170625664544E4331564D445934576D6C495347396E544856714D446B3153573569546C567A5832646A63557458615642444D6B4653613168355155565A57576F796232566E5130524E65465673646B4E5152316C444F565268574756525A32355957457052626D633950513D3D',NULL);
INSERT INTO "encrypted_data" VALUES('73d7490d-7746-432b-9d7c-0e00eabd84c6','2026-11-21 12:06:35.604041','2026-11-21 12:06:35.604041',NULL,0,'ACTIVE','application/octet-stream','9a9d63b4-44a1-427f-9c90-d93b66a133cd','ee486c86-46ab-4f83-a26c-49fa780985e6',X'5A30464251554642516E4A425757784D4C55394B5A3039464E6B4E4A526E5A7761454A7353477855616D6C336147383564446870546A68344E314A32537A64315232394F516A424C5446647A656D5232554449306158497954564E685345644656556F3561585A5861486C6D4F56457A4D577777626B64615658464F4C546C7161325A466147453352486C6B5A6B784F565464535633527A596C6476536B6F744D456B31596A464264303155646A4656576E426C536B6C30646B467157544D78596D78555254685365486868576A59795748526F555546484D445A4A6145684C53575177587A46684E6C457A63485A56634456664F57705A5A3145794C5659334E6E413459324D786345394A645442744E3139454F453430635331784F554A4352564A7356693030534642345754527353566C5A547A68306447744662574A544E54564A616C42734F454E52574770424E566868633264505A30524564486B3555585251566C4A59544546785133426C4E324E4C63555A4A634859335A6A64705556527956335A59556B5270596E6C795531647853464E55516B3579614868476147783162544A524E6D316C644846455254417A536D5A5A6247644A4E477730643038354E476C4C65574531615639735A574A6B5430354A5533565057444E43536A4A52633231566357525051584531556E4A544D304642644552344F474D7755475245526A525263573155624531336247684A5256684D4F5649354D33684A4D475A30567A497A62546C6A5557347A6245703155445A6A5447744861556452553078794C553153627A303D',NULL);
INSERT INTO "encrypted_data" VALUES('0f75fbdc-7590-4fc4-b01f-f4626018a7ae','2026-11-21 12:06:35.658019','2026-11-21 12:06:35.739107','2026-11-21 12:06:35.738321',1,'ACTIVE','text/plain','fd422240-7352-45ce-96fb-f31c4f8992c7','ee486c86-46ab-4f83-a26c-49fa780985e6',X'5A30464251554642516E4A425757784D5A7A55785548464B644552745345463562575A76563364344D6E4252655846514D444E75616B687762574A69523264734E48647A566B3179536E5A6E4F56633154566C70636B526B56565A715531553454477447523078614C54465153564E4E5558453159555A7864564E4963325A705647633950513D3D',NULL);
INSERT INTO "encrypted_data" VALUES('67611181-332a-40a3-8f85-a54dae646557','2026-11-21 12:06:35.695735','2026-11-21 12:06:35.695735',NULL,0,'ACTIVE','application/octet-stream','9bc32f25-a7ce-478b-bf1d-2d21efc74ddb','ee486c86-46ab-4f83-a26c-49fa780985e6',X'5A30464251554642516E4A425757784D576E4274596D78475A44453362576471575738774E46704E593246505A31396B64334A7359565A4B4F45646A566D78466430684D65446C455955566B61456C775A53316A55326C6C5930784D536B6C74524651335355564E5A556C6E5247465563324E75597A4D7A55564A71646E4648646B453950513D3D',NULL);
INSERT INTO "encrypted_data" VALUES('57b31529-45ea-48da-b4be-f8ddf9a2e827','2026-11-21 12:06:35.765550','2026-11-21 12:06:35.765550',NULL,0,'ACTIVE','application/octet-stream','0adc8ceb-c571-469d-bb5b-f317e47a5df9','ee486c86-46ab-4f83-a26c-49fa780985e6',X'5A30464251554642516E4A425757784D4D586C666557315453565645646931684E6E56705347684A5247356B4F485252576A4A6C4D44684953316332615852735430643656584D30636D7835623367326131524A4E32745155584657624331746147394C65476F32565456505A454A4262444636623170335A314E36655446494E54684262324A305554497A52444A426332464654444E4B5A7A464A4D30314F546D733455575535536B4A714F5868445132633456323479576E593D',NULL);
CREATE TABLE kek_data (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	plugin_name VARCHAR(255) NOT NULL, 
	kek_label VARCHAR(255), 
	project_id VARCHAR(36) NOT NULL, 
	active BOOLEAN NOT NULL, 
	bind_completed BOOLEAN NOT NULL, 
	algorithm VARCHAR(255), 
	bit_length INTEGER, 
	mode VARCHAR(255), 
	plugin_meta TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT kek_data_project_fk FOREIGN KEY(project_id) REFERENCES projects (id)
);
INSERT INTO "kek_data" VALUES('ee486c86-46ab-4f83-a26c-49fa780985e6','2026-11-21 12:06:35.562870','2026-11-21 12:06:35.567853',NULL,0,'ACTIVE','barbican.plugin.crypto.simple_crypto.SimpleCryptoPlugin','project-project-one-key-6cfc22d0-4aec-4bc5-a29a-2908fc96a20a','79d7c797-2135-4424-a7da-d45f65c36de8',1,1,'aes',128,'cbc',X'674141414141427241596C4C63486E49464951666770756C785447326D426B646150392D56646E6A5A6245425931524466615373444934766277554D6B645233535A425A6349364C6D344D7A6163414B375F7A4C6E7373304E306E6E683530574C4338416D683652596B576F74334A617438563068324555695F7079344347696578762D636E313935717446');
CREATE TABLE order_barbican_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	order_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(order_id) REFERENCES orders (id)
);
CREATE TABLE order_plugin_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	order_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(order_id) REFERENCES orders (id)
);
CREATE TABLE order_retry_tasks (
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	order_id VARCHAR(36) NOT NULL, 
	retry_task TEXT NOT NULL, 
	retry_at DATETIME NOT NULL, 
	retry_args TEXT NOT NULL, 
	retry_kwargs TEXT NOT NULL, 
	retry_count INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(order_id) REFERENCES orders (id)
);
CREATE TABLE orders (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	type VARCHAR(255) NOT NULL, 
	project_id VARCHAR(36) NOT NULL, 
	error_status_code VARCHAR(16), 
	error_reason VARCHAR(255), 
	meta TEXT, 
	secret_id VARCHAR(36), 
	container_id VARCHAR(36), 
	sub_status VARCHAR(36), 
	sub_status_message VARCHAR(255), 
	creator_id VARCHAR(255), 
	PRIMARY KEY (id), 
	FOREIGN KEY(container_id) REFERENCES containers (id), 
	CONSTRAINT orders_project_fk FOREIGN KEY(project_id) REFERENCES projects (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id)
);
INSERT INTO "orders" VALUES('c6dfd4f4-c281-4e68-86f0-b0d985c76735','2026-11-21 12:06:35.751881','2026-11-21 12:06:35.768373',NULL,0,'ACTIVE','key','79d7c797-2135-4424-a7da-d45f65c36de8',NULL,NULL,'{"name": "ordered", "algorithm": "aes", "bit_length": 256, "mode": "cbc", "expiration": null}','0adc8ceb-c571-469d-bb5b-f317e47a5df9',NULL,'Unknown','Unknown','user-one');
CREATE TABLE preferred_certificate_authorities (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	project_id VARCHAR(36) NOT NULL, 
	ca_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT preferred_certificate_authorities_fk FOREIGN KEY(ca_id) REFERENCES certificate_authorities (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE TABLE project_certificate_authorities (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	project_id VARCHAR(36) NOT NULL, 
	ca_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(ca_id) REFERENCES certificate_authorities (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	CONSTRAINT _project_certificate_authority_uc UNIQUE (project_id, ca_id)
);
CREATE TABLE project_quotas (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	project_id VARCHAR(36) NOT NULL, 
	secrets INTEGER, 
	orders INTEGER, 
	containers INTEGER, 
	consumers INTEGER, 
	cas INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT project_quotas_fk FOREIGN KEY(project_id) REFERENCES projects (id)
);
CREATE TABLE project_secret_store (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	secret_store_id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	FOREIGN KEY(secret_store_id) REFERENCES secret_stores (id), 
	CONSTRAINT _project_secret_store_project_uc UNIQUE (project_id)
);
CREATE TABLE projects (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	external_id VARCHAR(255), 
	PRIMARY KEY (id), 
	UNIQUE (external_id)
);
INSERT INTO "projects" VALUES('79d7c797-2135-4424-a7da-d45f65c36de8','2026-11-21 12:06:35.537007','2026-11-21 12:06:35.537007',NULL,0,'ACTIVE','project-one');
CREATE TABLE secret_acl_users (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	acl_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(acl_id) REFERENCES secret_acls (id), 
	CONSTRAINT _secret_acl_user_uc UNIQUE (acl_id, user_id)
);
CREATE TABLE secret_acls (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	secret_id VARCHAR(36) NOT NULL, 
	operation VARCHAR(255) NOT NULL, 
	project_access BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id), 
	CONSTRAINT _secret_acl_operation_uc UNIQUE (secret_id, operation)
);
CREATE TABLE "secret_consumer_metadata" (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	secret_id VARCHAR(36) NOT NULL, 
	project_id VARCHAR(36), 
	service VARCHAR(255) NOT NULL, 
	resource_type VARCHAR(255) NOT NULL, 
	resource_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT _secret_consumer_resource_uc UNIQUE (secret_id, service, resource_type, resource_id), 
	CONSTRAINT fk_project_id FOREIGN KEY(project_id) REFERENCES projects (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id)
);
CREATE TABLE secret_store_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	secret_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id)
);
INSERT INTO "secret_store_metadata" VALUES('e9c68ec4-bfab-4f2b-9322-ad377813159d','2026-11-21 12:06:35.579964','2026-11-21 12:06:35.579964',NULL,0,'PENDING','plugin_name','barbican.plugin.store_crypto.StoreCryptoAdapterPlugin','bcdb10a4-48ba-4233-bd09-5b54b782f1fb');
INSERT INTO "secret_store_metadata" VALUES('2dc88773-b54d-4a44-8b05-b2b823e0046a','2026-11-21 12:06:35.583284','2026-11-21 12:06:35.583284',NULL,0,'PENDING','content_type','text/plain','bcdb10a4-48ba-4233-bd09-5b54b782f1fb');
INSERT INTO "secret_store_metadata" VALUES('7dbaf7c4-7f23-4023-87fe-0836749ec620','2026-11-21 12:06:35.605497','2026-11-21 12:06:35.605497',NULL,0,'PENDING','plugin_name','barbican.plugin.store_crypto.StoreCryptoAdapterPlugin','9a9d63b4-44a1-427f-9c90-d93b66a133cd');
INSERT INTO "secret_store_metadata" VALUES('520a6df2-688c-46dd-ad7e-b49e61845fce','2026-11-21 12:06:35.606343','2026-11-21 12:06:35.606343',NULL,0,'PENDING','content_type','application/octet-stream','9a9d63b4-44a1-427f-9c90-d93b66a133cd');
INSERT INTO "secret_store_metadata" VALUES('df76fdd7-8986-484f-84b1-12f0f1f074d4','2026-11-21 12:06:35.659543','2026-11-21 12:06:35.735931','2026-11-21 12:06:35.735234',1,'PENDING','plugin_name','barbican.plugin.store_crypto.StoreCryptoAdapterPlugin','fd422240-7352-45ce-96fb-f31c4f8992c7');
INSERT INTO "secret_store_metadata" VALUES('0a28861f-76a8-4ff8-becd-7fb765826e27','2026-11-21 12:06:35.660402','2026-11-21 12:06:35.736478','2026-11-21 12:06:35.736264',1,'PENDING','content_type','text/plain','fd422240-7352-45ce-96fb-f31c4f8992c7');
INSERT INTO "secret_store_metadata" VALUES('b79132f6-eac7-4983-b7ae-2ab8630381d2','2026-11-21 12:06:35.698114','2026-11-21 12:06:35.698114',NULL,0,'PENDING','plugin_name','barbican.plugin.store_crypto.StoreCryptoAdapterPlugin','9bc32f25-a7ce-478b-bf1d-2d21efc74ddb');
INSERT INTO "secret_store_metadata" VALUES('9418b29f-dc57-4257-bb3d-1ab25fb6a46f','2026-11-21 12:06:35.699346','2026-11-21 12:06:35.699346',NULL,0,'PENDING','content_type','application/octet-stream','9bc32f25-a7ce-478b-bf1d-2d21efc74ddb');
INSERT INTO "secret_store_metadata" VALUES('5c78c38d-881b-45c4-910b-ded31ce43ae6','2026-11-21 12:06:35.766767','2026-11-21 12:06:35.766767',NULL,0,'PENDING','plugin_name','barbican.plugin.store_crypto.StoreCryptoAdapterPlugin','0adc8ceb-c571-469d-bb5b-f317e47a5df9');
INSERT INTO "secret_store_metadata" VALUES('5890c443-93a9-433e-b436-538e4fc5efb1','2026-11-21 12:06:35.767600','2026-11-21 12:06:35.767600',NULL,0,'PENDING','content_type','application/octet-stream','0adc8ceb-c571-469d-bb5b-f317e47a5df9');
CREATE TABLE secret_stores (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	store_plugin VARCHAR(255) NOT NULL, 
	crypto_plugin VARCHAR(255), 
	global_default BOOLEAN NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT _secret_stores_name_uc UNIQUE (name), 
	CONSTRAINT _secret_stores_plugin_names_uc UNIQUE (store_plugin, crypto_plugin)
);
CREATE TABLE secret_user_metadata (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	secret_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(secret_id) REFERENCES secrets (id), 
	CONSTRAINT _secret_key_uc UNIQUE (secret_id, "key")
);
CREATE TABLE secrets (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	name VARCHAR(255), 
	secret_type VARCHAR(255) DEFAULT 'opaque', 
	expiration DATETIME, 
	algorithm VARCHAR(255), 
	bit_length INTEGER, 
	mode VARCHAR(255), 
	creator_id VARCHAR(255), 
	project_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT secrets_project_fk FOREIGN KEY(project_id) REFERENCES projects (id)
);
INSERT INTO "secrets" VALUES('bcdb10a4-48ba-4233-bd09-5b54b782f1fb','2026-11-21 12:06:35.570558','2026-11-21 12:06:35.577555',NULL,0,'ACTIVE','text','passphrase',NULL,NULL,NULL,NULL,'user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
INSERT INTO "secrets" VALUES('9a9d63b4-44a1-427f-9c90-d93b66a133cd','2026-11-21 12:06:35.602533','2026-11-21 12:06:35.604862',NULL,0,'ACTIVE','binary','opaque','2999-01-01 00:00:00.000000','aes',2048,'cbc','user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
INSERT INTO "secrets" VALUES('8302cc81-ede6-441e-b205-09c54af4116a','2026-11-21 12:06:35.625560','2026-11-21 12:06:35.625560',NULL,0,'ACTIVE','without payload','opaque',NULL,NULL,NULL,NULL,'user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
INSERT INTO "secrets" VALUES('9bc32f25-a7ce-478b-bf1d-2d21efc74ddb','2026-11-21 12:06:35.640567','2026-11-21 12:06:35.697107',NULL,0,'ACTIVE','two steps','opaque',NULL,NULL,NULL,NULL,'user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
INSERT INTO "secrets" VALUES('fd422240-7352-45ce-96fb-f31c4f8992c7','2026-11-21 12:06:35.656771','2026-11-21 12:06:35.733678','2026-11-21 12:06:35.732615',1,'ACTIVE','deleted','opaque',NULL,NULL,NULL,NULL,'user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
INSERT INTO "secrets" VALUES('0adc8ceb-c571-469d-bb5b-f317e47a5df9','2026-11-21 12:06:35.764482','2026-11-21 12:06:35.766221',NULL,0,'ACTIVE','ordered','symmetric',NULL,'aes',256,'cbc','user-one','79d7c797-2135-4424-a7da-d45f65c36de8');
CREATE TABLE transport_keys (
	id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	deleted BOOLEAN NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	plugin_name VARCHAR(255) NOT NULL, 
	transport_key TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_containers_project_id ON containers (project_id);
CREATE INDEX ix_kek_data_project_id ON kek_data (project_id);
CREATE INDEX ix_project_quotas_project_id ON project_quotas (project_id);
CREATE INDEX ix_project_secret_store_project_id ON project_secret_store (project_id);
CREATE INDEX ix_project_secret_store_secret_store_id ON project_secret_store (secret_store_id);
CREATE INDEX ix_secrets_project_id ON secrets (project_id);
CREATE INDEX ix_certificate_authority_metadata_ca_id ON certificate_authority_metadata (ca_id);
CREATE INDEX ix_certificate_authority_metadata_key ON certificate_authority_metadata ("key");
CREATE INDEX ix_container_acls_container_id ON container_acls (container_id);
CREATE INDEX ix_container_consumer_metadata_container_id ON container_consumer_metadata (container_id);
CREATE INDEX ix_container_consumer_metadata_project_id ON container_consumer_metadata (project_id);
CREATE INDEX values_index ON container_consumer_metadata (container_id, name, "URL");
CREATE INDEX ix_container_secret_container_id ON container_secret (container_id);
CREATE INDEX ix_container_secret_secret_id ON container_secret (secret_id);
CREATE INDEX ix_encrypted_data_kek_id ON encrypted_data (kek_id);
CREATE INDEX ix_encrypted_data_secret_id ON encrypted_data (secret_id);
CREATE INDEX ix_orders_container_id ON orders (container_id);
CREATE INDEX ix_orders_project_id ON orders (project_id);
CREATE INDEX ix_orders_secret_id ON orders (secret_id);
CREATE INDEX ix_preferred_certificate_authorities_ca_id ON preferred_certificate_authorities (ca_id);
CREATE UNIQUE INDEX ix_preferred_certificate_authorities_project_id ON preferred_certificate_authorities (project_id);
CREATE INDEX ix_project_certificate_authorities_ca_id ON project_certificate_authorities (ca_id);
CREATE INDEX ix_project_certificate_authorities_project_id ON project_certificate_authorities (project_id);
CREATE INDEX ix_secret_acls_secret_id ON secret_acls (secret_id);
CREATE INDEX ix_secret_store_metadata_secret_id ON secret_store_metadata (secret_id);
CREATE INDEX ix_secret_user_metadata_secret_id ON secret_user_metadata (secret_id);
CREATE INDEX ix_container_acl_users_acl_id ON container_acl_users (acl_id);
CREATE INDEX ix_order_barbican_metadata_order_id ON order_barbican_metadata (order_id);
CREATE INDEX ix_order_plugin_metadata_order_id ON order_plugin_metadata (order_id);
CREATE INDEX ix_order_retry_tasks_order_id ON order_retry_tasks (order_id);
CREATE INDEX ix_secret_acl_users_acl_id ON secret_acl_users (acl_id);
CREATE INDEX ix_secret_consumer_metadata_secret_id ON secret_consumer_metadata (secret_id);
CREATE INDEX ix_secret_consumer_metadata_resource_id ON secret_consumer_metadata (resource_id);
CREATE INDEX ix_secret_consumer_metadata_project_id ON secret_consumer_metadata (project_id);
COMMIT;
