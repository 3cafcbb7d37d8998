Feature: Silence is judged
  Who does not speak gets no requests, and who is gone is not listed.

  Background:
    Given heartbeats every second
    And the registry is started
    And the queen is started

  Scenario: A worker is killed
    Given the hive "alpha" is started
    And the hive "beta" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:twin"
    And the hive "beta" starts the worker "w2" with the model "echo:twin"
    When the worker "w1" is killed
    Then every one of 20 requests for "echo:twin" is answered
    And the queen lists the workers "w2"
    And the registry lists the workers "w2"

  Scenario: A worker started by hand is killed
    Given the worker "w1" with the model "echo:one" is started by hand
    And the queen lists the worker "w1"
    When the worker "w1" is killed
    Then the queen lists no workers
    And the registry lists no workers

  Scenario: A worker is frozen and thawed
    Given the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:twin"
    And the hive "alpha" starts the worker "w2" with the model "echo:twin"
    When the worker "w1" is frozen
    Then the queen lists the worker "w1" as hung
    And every one of 20 requests for "echo:twin" is answered
    When the worker "w1" is thawed
    Then the queen lists the worker "w1" as online
    And the worker "w1" takes requests again
    And the worker "w1" is still the same process

  Scenario: A hive is killed and its workers go on
    Given the hive "alpha" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:one"
    When the hive "alpha" is killed
    Then the queen lists the worker "w1" as unobserved
    And the queen answers a request for "echo:one"
    And the queen no longer hears the hive "alpha"
    And the queen answers a request for "echo:one"
    When the hive "alpha" is started again
    Then the queen lists the worker "w1" as online

  Scenario: A machine loses power
    Given the hive "alpha" is started
    And the hive "beta" is started
    And the hive "alpha" starts the worker "w1" with the model "echo:twin"
    And the hive "alpha" starts the worker "w2" with the model "echo:other"
    And the hive "beta" starts the worker "w3" with the model "echo:twin"
    When everything on the machine "alpha" stops in the same instant
    Then the queen lists the workers "w3"
    And the registry lists the workers "w3"
    And the queen lists the hives "beta"
    And every one of 5 requests for "echo:twin" is answered
